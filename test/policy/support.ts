import { askPolicy } from '#dist/policy/evaluate.js';
import type { EvaluateRequest } from '#dist/policy/evaluate.js';
import { buildPolicyInput } from '#dist/policy/input.js';
import { runAsync, runSync } from '#dist/twin.js';
import type { PolicyFacts, PolicyInput } from '#dist/policy/input.js';

/** An input with nothing remarkable in it, except for `facts`. */
export function inputWith(facts: Partial<PolicyFacts> = {}): PolicyInput {
  return buildPolicyInput({
    action: 'open',
    claims: {},
    env: undefined,
    model: { metadata: {}, tensors: 1, signer: null },
    ...facts,
  });
}

/** A policy for package `model`. */
export function model(rules: string): string {
  return `package model\n${rules}`;
}

/** How an evaluation ended: `opens`, or the error's code and message. */
export interface Ending {
  code: string;
  message: string;
  error: unknown;
}

function refused(error: unknown): Ending {
  const { code, message } = error as { code: string; message: string };
  return { code, message, error };
}

const OPENS: Ending = { code: 'opens', message: '', error: undefined };

export async function ending(policy: string, request: Partial<EvaluateRequest> = {}): Promise<Ending> {
  return runAsync(askPolicy(policy, { input: inputWith(), ...request })).then(() => OPENS, refused);
}

export function endingSync(policy: string, request: Partial<EvaluateRequest> = {}): Ending {
  try {
    runSync(askPolicy(policy, { input: inputWith(), ...request }));
    return OPENS;
  } catch (error) {
    return refused(error);
  }
}
