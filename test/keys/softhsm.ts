import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as pkcs11js from 'pkcs11js';

/** Where packages of SoftHSM 2 put its library. */
const LIBRARIES = [
  process.env.SOFTHSM2_MODULE,
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];
export const MODULE = LIBRARIES.find((path) => path !== undefined && existsSync(path)) ?? null;
export const INSTRUCTIONS =
  'SoftHSM 2 is not installed, so nothing of PKCS#11 is tested. Install it: apt-get install softhsm2 (or set SOFTHSM2_MODULE to its library)';
export const PIN = '1234 correct horse';

const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
const CKK_EC_EDWARDS = 0x40;
const ED25519_OID = Buffer.from('06032b6570', 'hex');

/** Makes SoftHSM keep its tokens in a folder; before its library is loaded. */
export function useTokensIn(folder: string): void {
  mkdirSync(join(folder, 'tokens'));
  const configuration = join(folder, 'softhsm2.conf');
  writeFileSync(configuration, `directories.tokendir = ${join(folder, 'tokens')}\nlog.level = ERROR\n`);
  // The library reads it with getenv, which sees this.
  process.env.SOFTHSM2_CONF = configuration;
}

export function makeToken(label: string): void {
  const pins = ['--so-pin', '12345678', '--pin', PIN];
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { stdio: 'pipe' });
}

export interface AesKey {
  label: string;
  id?: Buffer;
  bytes?: 16 | 24 | 32;
  canEncrypt?: boolean;
}

/** A token as whoever looks after it uses it: beside the provider, in the same process. */
export class Officer {
  readonly library = new pkcs11js.PKCS11();
  readonly #slot: pkcs11js.Handle;
  readonly #session: pkcs11js.Handle;

  constructor(label: string) {
    this.library.load(MODULE!);
    this.#unless('CKR_CRYPTOKI_ALREADY_INITIALIZED', () =>
      this.library.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK }),
    );
    const isIt = (slot: pkcs11js.Handle): boolean => this.library.C_GetTokenInfo(slot).label.trimEnd() === label;
    this.#slot = this.library.C_GetSlotList(true).find(isIt)!;
    this.#session = this.library.C_OpenSession(this.#slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    this.#unless('CKR_USER_ALREADY_LOGGED_IN', () => this.library.C_Login(this.#session, pkcs11js.CKU_USER, PIN));
  }

  get slot(): number {
    return Number(this.#slot.readBigUInt64LE());
  }

  /** An AES key that never leaves the token. */
  makeAesKey({ label, id = Buffer.alloc(0), bytes = 32, canEncrypt = true }: AesKey): pkcs11js.Handle {
    return this.library.C_GenerateKey(this.#session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
      ...this.#lasting(label, id),
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
      { type: pkcs11js.CKA_VALUE_LEN, value: bytes },
      { type: pkcs11js.CKA_ENCRYPT, value: canEncrypt },
      { type: pkcs11js.CKA_DECRYPT, value: true },
      ...this.#secret(),
    ]);
  }

  hasEd25519(): boolean {
    return this.library.C_GetMechanismList(this.#slot).includes(CKM_EC_EDWARDS_KEY_PAIR_GEN);
  }

  makeEd25519Keys(label: string, id: Buffer): { privateKey: pkcs11js.Handle; publicKey: pkcs11js.Handle } {
    const kind = { type: pkcs11js.CKA_KEY_TYPE, value: CKK_EC_EDWARDS };
    return this.library.C_GenerateKeyPair(
      this.#session,
      { mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN },
      [
        ...this.#lasting(label, id),
        kind,
        { type: pkcs11js.CKA_EC_PARAMS, value: ED25519_OID },
        { type: pkcs11js.CKA_VERIFY, value: true },
      ],
      [...this.#lasting(label, id), kind, { type: pkcs11js.CKA_SIGN, value: true }, ...this.#secret()],
    );
  }

  attribute(object: pkcs11js.Handle, type: number): Buffer {
    return this.library.C_GetAttributeValue(this.#session, object, [{ type }])[0]!.value;
  }

  destroy(object: pkcs11js.Handle): void {
    this.library.C_DestroyObject(this.#session, object);
  }

  /** As when a token is taken out and put in again: every session of the process is gone. */
  closeAllSessions(): void {
    this.library.C_CloseAllSessions(this.#slot);
  }

  #unless(expected: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if ((error as Error).message !== expected) throw error;
    }
  }

  #lasting(label: string, id: Buffer): pkcs11js.Template {
    return [
      { type: pkcs11js.CKA_TOKEN, value: true },
      { type: pkcs11js.CKA_LABEL, value: label },
      { type: pkcs11js.CKA_ID, value: id },
    ];
  }

  #secret(): pkcs11js.Template {
    return [
      { type: pkcs11js.CKA_PRIVATE, value: true },
      { type: pkcs11js.CKA_SENSITIVE, value: true },
      { type: pkcs11js.CKA_EXTRACTABLE, value: false },
    ];
  }
}
