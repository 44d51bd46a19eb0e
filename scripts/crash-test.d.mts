import type { JwkSet, Recovery } from 'cryptotensors';

export type SceneKind = 'single' | 'tight' | 'sharded';

export interface Scene {
  folder: string;
  path: string;
  /** The old ones and the new ones. */
  keys: [JwkSet, JwkSet];
  files: string[];
}

export interface Death {
  step: number;
  bytes: number;
}

export function makeScene(parent: string, kind: SceneKind): Promise<Scene>;
export function rewrapOnce(scene: Scene, death: Death | null): Promise<{ name: string; bytes: number }[] | null>;
export function killAfter(scene: Scene, delay: number): Promise<void>;
export function inspectScene(
  scene: Scene,
  options?: { isOnce?: boolean },
): Promise<{ before: string; recovery: Recovery; after: 'old' | 'new' }>;
export function killAtRandom(
  parent: string,
  kills: number,
  kinds: SceneKind[],
): Promise<Partial<Record<Recovery, number>>>;
