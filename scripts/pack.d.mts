export interface Packed {
  tarball: string;
  /** Bytes of the tarball. */
  size: number;
  files: { path: string; size: number; mode: number }[];
}

/** Packs what npm ships; see the script. */
export function pack(folder: string, options?: { addons?: boolean }): Packed;
