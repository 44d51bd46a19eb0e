import { inspect } from 'node:util';
import type { Addon, SecretHandle } from './addon.js';
import { NativeObject } from './native-object.js';
import type { Secret } from './types.js';

/** A secret in the addon's memory. Shows its length and nothing else. */
export class NativeSecret extends NativeObject<'secret'> implements Secret {
  readonly byteLength: number;

  constructor(addon: Addon, handle: SecretHandle) {
    super(handle, (secret) => addon.disposeSecret(secret));
    this.byteLength = addon.secretLength(handle);
  }

  dispose(): void {
    this.closeHandle();
  }

  override toString(): string {
    return `Secret(${this.byteLength} bytes)`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
