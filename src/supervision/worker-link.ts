/**
 * The supervisor's end of one worker thread: its control port, and its control surface through comlink with what
 * comlink lacks: a deadline and an exit race around each call (a call to a dead worker never settles), and a strong
 * reference to the proxy (a collected one drops its calls).
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { type FromWorker, startExitCode, type ToWorker, type WorkerControl } from '../messages/control.js';
import type { WorkerBoot } from '../runtime/settings.js';
import { createWorkSlot, inputInWork } from '../runtime/work-slot.js';
import type { ChildSpec } from './child-spec.js';

/** How a call on the control surface ended. */
export type CallOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: 'deadline' | 'exited'; readonly detail: string }
  | {
      readonly ok: false;
      readonly reason: 'failed';
      readonly detail: string;
      /** As comlink rebuilt it: name, message and stack. */
      readonly error: unknown;
    };

/** What became of start(). `exitCode` is what the process ends with when it was the first start. */
export type StartOutcome =
  | { readonly ok: true; readonly facts: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly reason: string; readonly exitCode: number };

export interface WorkerExit {
  readonly code: number;
  /** The uncaught error that ended it; null when it just ended. */
  readonly error: string | null;
  /** The input it was working on when it ended, `<source>:<fingerprint>`; null for none. */
  readonly inWork: string | null;
}

export interface WorkerLinkEvents {
  onMessage(message: FromWorker): void;
  onExit(exit: WorkerExit): void;
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);

export class WorkerLink {
  readonly worker: Worker;
  readonly exited: Promise<WorkerExit>;
  private readonly control: MessagePort;
  private readonly surface: MessagePort;
  private readonly proxy: Comlink.Remote<WorkerControl>;
  private alive = true;
  private seen: ReturnType<Worker['performance']['eventLoopUtilization']>;

  constructor(
    spec: Pick<ChildSpec, 'actor' | 'entry' | 'resourceLimits'>,
    boot: WorkerBoot,
    events: WorkerLinkEvents,
  ) {
    const control = new MessageChannel();
    const surface = new MessageChannel();
    const work = createWorkSlot();
    this.control = control.port1;
    this.surface = surface.port1;
    this.worker = new Worker(spec.entry, {
      name: spec.actor,
      workerData: { boot, ports: { control: control.port2, surface: surface.port2 }, work },
      transferList: [control.port2, surface.port2],
      resourceLimits: spec.resourceLimits,
    });
    this.seen = this.worker.performance.eventLoopUtilization();
    let error: string | null = null;
    // In the same turn as the creation: a Worker without an error listener takes the process with it.
    this.worker.on('error', thrown => {
      error = describe(thrown);
    });
    this.exited = new Promise(resolve => {
      this.worker.once('exit', code => {
        this.alive = false;
        // An exit can overtake what the thread said last: its own ports are read out before the event, this one is not.
        for (;;) {
          const received = receiveMessageOnPort(this.control);
          if (received === undefined) break;
          events.onMessage(received.message as FromWorker);
        }
        this.control.close();
        this.surface.close();
        const exit: WorkerExit = { code, error, inWork: inputInWork(work) };
        resolve(exit);
        events.onExit(exit);
      });
    });
    this.control.on('message', message => events.onMessage(message as FromWorker));
    this.proxy = Comlink.wrap<WorkerControl>(nodeEndpoint(this.surface));
  }

  get isAlive(): boolean {
    return this.alive;
  }

  /** Sends on the control port; ports named in the message go with it. Says nothing to a dead worker. */
  tell(message: ToWorker): void {
    if (!this.alive) return;
    this.control.postMessage(message, message.type === 'peer-connected' ? [message.port] : []);
  }

  /** Begins the worker's work. Every failure is an outcome. */
  async start(deadlineMs: number): Promise<StartOutcome> {
    const outcome = await this.call(() => this.proxy.start(), deadlineMs);
    if (outcome.ok) return { ok: true, facts: outcome.value };
    return {
      ok: false,
      reason: outcome.reason === 'deadline' ? `it was not ready within ${deadlineMs} ms` : outcome.detail,
      exitCode: outcome.reason === 'failed' ? startExitCode(outcome.error) : 1,
    };
  }

  drain(deadlineMs: number): Promise<CallOutcome<void>> {
    return this.call(() => this.proxy.drain(), deadlineMs);
  }

  terminate(): void {
    void this.worker.terminate();
  }

  /** Share of the time since the last call in which the worker's loop was busy, 0 to 1, seen from outside. */
  utilization(): number {
    const now = this.worker.performance.eventLoopUtilization();
    const { utilization } = this.worker.performance.eventLoopUtilization(now, this.seen);
    this.seen = now;
    return utilization;
  }

  private async call<T>(ask: () => Promise<T>, deadlineMs: number): Promise<CallOutcome<T>> {
    if (!this.alive) return { ok: false, reason: 'exited', detail: 'the worker has ended' };
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<CallOutcome<T>>(resolve => {
      timer = setTimeout(
        () => resolve({ ok: false, reason: 'deadline', detail: `no answer within ${deadlineMs} ms` }),
        deadlineMs,
      );
    });
    const exit = this.exited.then<CallOutcome<T>>(({ code, error }) => ({
      ok: false,
      reason: 'exited',
      detail: error ?? `the worker ended with code ${code}`,
    }));
    const answer = ask().then<CallOutcome<T>, CallOutcome<T>>(
      value => ({ ok: true, value }),
      (thrown: unknown) => ({
        ok: false,
        reason: 'failed',
        detail: thrown instanceof Error ? thrown.message : String(thrown),
        error: thrown,
      }),
    );
    try {
      return await Promise.race([answer, exit, deadline]);
    } finally {
      clearTimeout(timer);
    }
  }
}
