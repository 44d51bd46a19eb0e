export interface Outcome {
  valid: number;
  bad: number;
  denied: number;
  wrong: string[];
}

export function bundle(): Promise<string>;
export function hasChromium(): boolean;
export function runHere(): Promise<Outcome>;
export function runInChromium(): Promise<Outcome>;
