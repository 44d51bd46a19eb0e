/**
 * A competitor in a process of its own, kept for the whole benchmark. It is asked one line of JSON at a time and answers one
 * line. It measures itself, so the pipe is in no figure; its memory is measured here, from outside.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export class Child {
  /** @type {((line: string) => void)[]} */
  #waiting = [];
  #stderr = '';

  /**
   * @param {string} command
   * @param {readonly string[]} args
   * @param {Record<string, string>} [env]
   */
  constructor(command, args, env = {}) {
    this.process = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    createInterface({ input: this.process.stdout }).on('line', (line) => this.#waiting.shift()?.(line));
    this.process.stderr.on('data', (chunk) => (this.#stderr = (this.#stderr + chunk).slice(-4000)));
    this.exited = new Promise((resolve) => this.process.on('exit', resolve));
  }

  /**
   * @param {Record<string, unknown>} request
   * @returns {Promise<Record<string, any>>}
   */
  async ask(request) {
    const line = await Promise.race([
      new Promise((resolve) => {
        this.#waiting.push(resolve);
        this.process.stdin.write(`${JSON.stringify(request)}\n`);
      }),
      this.exited.then((status) => {
        throw new Error(`a competitor ended with status ${status}: ${this.#stderr}`);
      }),
    ]);
    const answer = JSON.parse(line);
    if (answer.error !== undefined) throw new Error(`${JSON.stringify(request)}: ${answer.error}`);
    return answer;
  }

  /** Forgets the peak so far (Linux). */
  resetPeak() {
    try {
      writeFileSync(`/proc/${this.process.pid}/clear_refs`, '5');
    } catch {
      // Not Linux, or not allowed: the peak is then that of the whole life.
    }
  }

  /** Peak and present resident memory in bytes, as the kernel counts it. */
  memory() {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    const field = (/** @type {string} */ name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
    return { peak: field('VmHWM'), now: field('VmRSS') };
  }

  close() {
    this.process.stdin.end();
    return this.exited;
  }
}
