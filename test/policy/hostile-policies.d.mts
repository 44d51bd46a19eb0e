/** Policies that do what they can to take time, memory or stack: what each does, and its text. */
export const HOSTILE: readonly (readonly [what: string, policy: string])[];
