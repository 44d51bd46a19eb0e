import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';

/** Memory that a caller could give, and how it takes it away again. */
export interface Taking {
  name: string;
  /** Memory with these bytes in it, or `size` of zeros. */
  make: (bytes: Uint8Array) => Given;
}

export interface Given {
  /** Emptied by `take` where that drops it. */
  memory: Uint8Array | undefined;
  take: () => void;
  /** Whether it stays there, whatever is done. */
  stays: boolean;
}

/** Node's types leave WebAssembly out. */
export const { Memory: WasmMemory } = (
  globalThis as unknown as {
    WebAssembly: {
      Memory: new (size: { initial: number; maximum?: number; shared?: boolean }) => {
        buffer: ArrayBuffer;
        grow(pages: number): number;
      };
    };
  }
).WebAssembly;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Of what the library has taken over already there is nothing left to be taken. */
function structured(buffer: ArrayBuffer): void {
  if (!isDetached(buffer)) structuredClone(buffer, { transfer: [buffer] });
}

function posted(buffer: ArrayBuffer): void {
  if (isDetached(buffer)) return;
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(buffer, [buffer]);
  port1.close();
  port2.close();
}

function isDetached(buffer: ArrayBuffer): boolean {
  return buffer.byteLength === 0;
}

function copyInto(buffer: ArrayBufferLike, bytes: Uint8Array, at = 0): Uint8Array {
  const view = new Uint8Array(buffer, at, bytes.byteLength);
  view.set(bytes);
  return view;
}

function taking(name: string, make: (size: number) => ArrayBuffer, take: (buffer: ArrayBuffer) => void): Taking {
  return {
    name,
    make: (bytes) => {
      const buffer = make(bytes.byteLength);
      return { memory: copyInto(buffer, bytes), take: () => take(buffer), stays: false };
    },
  };
}

const PAGE = 65_536;
const ordinary = (size: number) => new ArrayBuffer(size);
const pages = (size: number) => Math.ceil(size / PAGE) + 1;

/** Answers about itself what it likes, and has whoever asks its species make views of another buffer. */
class Liar extends Uint8Array {
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }
  override get buffer(): ArrayBuffer {
    return new ArrayBuffer(8);
  }
  override get byteLength(): number {
    return 2 ** 32;
  }
  override get byteOffset(): number {
    return 2 ** 31;
  }
  override get length(): number {
    return 2 ** 32;
  }
  override subarray(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(8);
  }
}

export const TAKINGS: Taking[] = [
  taking('postMessage', ordinary, posted),
  taking('structuredClone', ordinary, structured),
  taking('ArrayBuffer.prototype.transfer', ordinary, (buffer) => {
    // Node.js 20 has no such method.
    const { transfer = null } = buffer as { transfer?: () => ArrayBuffer };
    if (transfer === null) structured(buffer);
    else if (!isDetached(buffer)) Reflect.apply(transfer, buffer, []);
  }),
  taking(
    'resize',
    (size) => new ArrayBuffer(size, { maxByteLength: size * 2 }),
    (buffer) => buffer.resize(0),
  ),
  taking('another realm', (size) => runInNewContext(`new ArrayBuffer(${size})`) as ArrayBuffer, structured),
  {
    name: 'a view of the middle',
    make: (bytes) => {
      const buffer = new ArrayBuffer(bytes.byteLength + 4096);
      return { memory: copyInto(buffer, bytes, 1024), take: () => structured(buffer), stays: false };
    },
  },
  {
    name: 'a subclass that lies',
    make: (bytes) => {
      const buffer = new ArrayBuffer(bytes.byteLength);
      copyInto(buffer, bytes);
      return { memory: new Liar(buffer), take: () => structured(buffer), stays: false };
    },
  },
  {
    name: 'WebAssembly memory.grow',
    make: (bytes) => {
      const memory = new WasmMemory({ initial: pages(bytes.byteLength), maximum: 4096 });
      return { memory: copyInto(memory.buffer, bytes), take: () => void memory.grow(1), stays: false };
    },
  },
  {
    name: 'shared WebAssembly memory.grow',
    make: (bytes) => {
      const memory = new WasmMemory({ initial: pages(bytes.byteLength), maximum: 4096, shared: true });
      return { memory: copyInto(memory.buffer, bytes), take: () => void memory.grow(1), stays: true };
    },
  },
  {
    name: 'SharedArrayBuffer.grow',
    make: (bytes) => {
      const buffer = new SharedArrayBuffer(bytes.byteLength, { maxByteLength: bytes.byteLength * 2 });
      return { memory: copyInto(buffer, bytes), take: () => buffer.grow(bytes.byteLength * 2), stays: true };
    },
  },
  {
    name: 'dropping and collecting',
    make: (bytes) => {
      const given: Given = {
        memory: copyInto(new ArrayBuffer(bytes.byteLength), bytes),
        take: () => {
          given.memory = undefined;
          collect();
        },
        stays: true,
      };
      return given;
    },
  },
];
