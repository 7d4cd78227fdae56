/**
 * The tree of workers: spawns them, brokers one channel per pair that talks, and brokers new ones when a worker was
 * restarted. It decides nothing: the brain (domain/supervisor.ts) says who starts and stops, the tree reports back.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { ControlState } from '../domain/safety.js';
import type { ActorName } from '../domain/step.js';
import type { SupervisorInput } from '../domain/supervisor.js';
import type { FromWorker, ToWorker } from '../messages/control.js';
import { ROUTES } from '../messages/routes.js';
import { PAUSE_BOARD_BYTES } from '../runtime/pause-board.js';
import type { ApiCredentials, Endpoints, Settings, WorkerBoot } from '../runtime/settings.js';
import type { ChildSpec } from './child-spec.js';
import { WorkerLink } from './worker-link.js';

export interface TreeConfig {
  readonly specs: readonly ChildSpec[];
  readonly settings: Settings;
  readonly credentials: ApiCredentials | null;
  readonly terminal: boolean;
}

export interface TreeEvents {
  /** Something the brain must know. */
  onInput(input: SupervisorInput): void;
  /** The supervisor's own end of a channel to a worker. */
  onPort(peer: ActorName, port: MessagePort): void;
  onPeerLost(peer: ActorName): void;
}

interface Seat {
  readonly spec: ChildSpec;
  readonly scratch: SharedArrayBuffer | null;
  link: WorkerLink | null;
  incarnation: number;
}

/** Facts of the embedded exchange that are credentials, and so reach only the workers that sign. */
const SECRET_FACTS = ['apiKey', 'apiSecret'];

const endpointsOf = (facts: Readonly<Record<string, string>>): Endpoints | null =>
  facts.baseUrl !== undefined && facts.graphUrl !== undefined && facts.wsUrl !== undefined
    ? { baseUrl: facts.baseUrl, graphUrl: facts.graphUrl, wsUrl: facts.wsUrl }
    : null;

/** Where market data and the account are, and who may sign, by mode (design: dry run mirrors the public feed). */
export const placesOf = (
  settings: Settings,
  credentials: ApiCredentials | null,
  facts: Readonly<Record<string, string>>,
): Pick<WorkerBoot, 'publicEndpoints' | 'accountEndpoints' | 'credentials'> => {
  if (settings.mode === 'live')
    return { publicEndpoints: settings.endpoints, accountEndpoints: settings.endpoints, credentials };
  const embedded = endpointsOf(facts);
  // Before the embedded exchange is up nobody needs an address: only telemetry and ledger start without it.
  const account = embedded ?? { baseUrl: '', graphUrl: '', wsUrl: '' };
  return {
    publicEndpoints: settings.mode === 'paper' && embedded !== null ? embedded : settings.endpoints,
    accountEndpoints: account,
    credentials:
      facts.apiKey !== undefined && facts.apiSecret !== undefined
        ? { apiKey: facts.apiKey, apiSecret: facts.apiSecret }
        : null,
  };
};

export class WorkerTree {
  private readonly seats: ReadonlyMap<ActorName, Seat>;
  private readonly config: TreeConfig;
  private readonly events: TreeEvents;
  private readonly facts = new Map<ActorName, Readonly<Record<string, string>>>();
  /** Far ends of channels to telemetry, opened before it was up, so that no early log line is lost. */
  private readonly early = new Map<ActorName, MessagePort>();
  private control: ControlState | null = null;
  /** Starts of each actor since the embedded exchange was started last. */
  private readonly startsOnEmbedded = new Map<ActorName, number>();
  /** The pauses of the embedded exchange's endpoints, and of the real venue's. */
  private readonly pauses = {
    embedded: new SharedArrayBuffer(PAUSE_BOARD_BYTES),
    venue: new SharedArrayBuffer(PAUSE_BOARD_BYTES),
  };
  private credentials: ApiCredentials | null;
  /** A new key that the signers are proving. */
  private offered: ApiCredentials | null = null;

  constructor(config: TreeConfig, events: TreeEvents) {
    this.config = config;
    this.events = events;
    this.credentials = config.credentials;
    this.seats = new Map(
      config.specs.map(spec => [
        spec.actor,
        {
          spec,
          scratch: spec.scratchBytes > 0 ? new SharedArrayBuffer(spec.scratchBytes) : null,
          link: null,
          incarnation: 0,
        },
      ]),
    );
    this.connectEarly('supervisor');
  }

  /** Spawns a worker, connects it with the peers that are up, and asks it to start. */
  start(actor: ActorName, incarnation: number, quarantined: readonly string[]): void {
    const seat = this.seat(actor);
    const link = new WorkerLink(seat.spec, this.bootOf(seat, incarnation, quarantined), {
      onMessage: message => this.onMessage(seat, incarnation, message),
      onExit: exit => {
        if (seat.link === link) {
          seat.link = null;
          this.tellLost(actor);
        }
        this.events.onInput({ type: 'worker-exited', actor, incarnation, ...exit });
      },
    });
    seat.link = link;
    seat.incarnation = incarnation;
    if (actor === 'paper-exchange') {
      this.startsOnEmbedded.clear();
      new Float64Array(this.pauses.embedded).fill(0);
    }
    this.startsOnEmbedded.set(actor, (this.startsOnEmbedded.get(actor) ?? 0) + 1);
    if (this.control !== null) link.tell(this.control);
    this.connect(seat);
    void link.start(seat.spec.readyWithinMs).then(outcome => {
      if (outcome.ok) {
        this.facts.set(actor, outcome.facts);
        this.events.onInput({ type: 'worker-ready', actor, incarnation });
      } else if (link.isAlive)
        this.events.onInput({
          type: 'worker-start-failed',
          actor,
          incarnation,
          reason: outcome.reason,
          exitCode: outcome.exitCode,
        });
    });
  }

  /** Asks a worker to finish. The brain watches the time; a refusal only means that the worker ends another way. */
  drain(actor: ActorName): void {
    const { link, spec } = this.seat(actor);
    if (link !== null) void link.drain(spec.stopWithinMs);
  }

  terminate(actor: ActorName): void {
    this.seat(actor).link?.terminate();
  }

  /** Gives everybody the newest word, and remembers it for those who come later. */
  broadcast(control: ControlState): void {
    this.control = control;
    for (const { link } of this.seats.values()) link?.tell(control);
  }

  renewLease(untilMonoMs: number): void {
    for (const { link, spec } of this.seats.values())
      if (spec.leased) link?.tell({ type: 'lease-renewed', untilMonoMs });
  }

  cancelAll(reason: string): void {
    for (const { link, spec } of this.seats.values())
      if (spec.leased) link?.tell({ type: 'cancel-all-ordered', reason });
  }

  /** Hands a new key to the workers that sign, to be proven by each. */
  offerKey(credentials: ApiCredentials): void {
    this.offered = credentials;
    this.tellSigners({ type: 'key-offered', credentials });
  }

  /** The offered key is the key from now on, also for workers that start later. */
  adoptKey(): void {
    if (this.offered === null) return;
    this.credentials = this.offered;
    this.offered = null;
    this.tellSigners({ type: 'key-adopted' });
  }

  dropKey(): void {
    if (this.offered === null) return;
    this.offered = null;
    this.tellSigners({ type: 'key-dropped' });
  }

  /** The key that workers are started with. */
  get keyInUse(): ApiCredentials | null {
    return this.credentials;
  }

  private tellSigners(message: ToWorker): void {
    for (const { link, spec } of this.seats.values()) if (spec.signs) link?.tell(message);
  }

  /** The workers whose threads have not ended. */
  get alive(): readonly ActorName[] {
    return [...this.seats.values()]
      .filter(({ link }) => link?.isAlive === true)
      .map(({ spec }) => spec.actor);
  }

  /** How busy each worker's loop was since the last look, 0 to 1: a spinning one shows before its beats are missed. */
  utilizations(): readonly (readonly [ActorName, number])[] {
    return [...this.seats].flatMap(([actor, { link }]) =>
      link?.isAlive === true ? [[actor, link.utilization()] as const] : [],
    );
  }

  private linkOf(actor: ActorName): WorkerLink | null {
    return this.seats.get(actor)?.link ?? null;
  }

  private seat(actor: ActorName): Seat {
    const seat = this.seats.get(actor);
    if (seat === undefined) throw new Error(`${actor} is not a worker of this tree`);
    return seat;
  }

  private bootOf({ spec, scratch }: Seat, incarnation: number, quarantined: readonly string[]): WorkerBoot {
    const facts = Object.assign({}, ...this.facts.values()) as Readonly<Record<string, string>>;
    const places = placesOf(this.config.settings, this.credentials, facts);
    return {
      actor: spec.actor,
      incarnation,
      earlierStarts: this.talksToEmbedded(spec.actor)
        ? (this.startsOnEmbedded.get(spec.actor) ?? 0)
        : incarnation - 1,
      quarantined,
      settings: this.config.settings,
      ...places,
      credentials: spec.signs ? places.credentials : null,
      facts: Object.fromEntries(Object.entries(facts).filter(([name]) => !SECRET_FACTS.includes(name))),
      terminal: this.config.terminal,
      pauses: this.talksToEmbedded(spec.actor) ? this.pauses.embedded : this.pauses.venue,
      ...(scratch === null ? {} : { scratch }),
    };
  }

  private talksToEmbedded(actor: ActorName): boolean {
    const { mode } = this.config.settings;
    return mode === 'paper' || (mode === 'dry-run' && actor !== 'market-data');
  }

  private onMessage(seat: Seat, incarnation: number, message: FromWorker): void {
    const { actor } = seat.spec;
    switch (message.type) {
      case 'beat':
        this.events.onInput({
          type: 'beat',
          actor,
          incarnation,
          queued: message.queued,
          dropped: message.dropped,
          eventLoopDelayMs: message.eventLoopDelayMs,
        });
        return;
      case 'hold-wanted':
      case 'hold-cleared':
        this.events.onInput({
          type: message.type,
          actor,
          holdCause: message.holdCause,
          subject: message.subject,
          detail: message.detail,
          cause: message.cause,
        });
        return;
      case 'status-reported':
        this.events.onInput({ type: 'status-reported', actor, facts: message.facts });
        return;
      case 'work-finished':
        this.events.onInput({ type: 'work-finished', actor, reason: message.reason });
        return;
      case 'throttled':
        this.events.onInput({ type: 'throttled', actor, request: message.request });
        return;
      case 'key-verified':
        this.events.onInput({ type: 'key-verified', actor, incarnation });
        return;
      case 'key-refused':
        this.events.onInput({ type: 'key-refused', actor, incarnation, reason: message.reason });
        return;
    }
  }

  /** One channel per pair of which the other side is up; the supervisor's own ends are handed out too. */
  private connect(seat: Seat): void {
    const { actor } = seat.spec;
    for (const { pair } of ROUTES) {
      if (!pair.includes(actor)) continue;
      const peer = pair[0] === actor ? pair[1] : pair[0];
      if (actor === 'telemetry' && this.early.has(peer)) {
        const port = this.early.get(peer)!;
        this.early.delete(peer);
        seat.link?.tell({ type: 'peer-connected', peer, incarnation: this.incarnationOf(peer), port });
        continue;
      }
      if (peer === 'telemetry' && this.incarnationOf('telemetry') === 0) {
        this.connectEarly(actor);
        continue;
      }
      const other = this.linkOf(peer);
      if (peer !== 'supervisor' && other === null) continue;
      const { port1, port2 } = new MessageChannel();
      seat.link?.tell({ type: 'peer-connected', peer, incarnation: this.incarnationOf(peer), port: port1 });
      if (other === null) this.events.onPort(actor, port2);
      else other.tell({ type: 'peer-connected', peer: actor, incarnation: seat.incarnation, port: port2 });
    }
  }

  /** Opens `actor`'s channel to telemetry before its first start; what is sent waits in it. */
  private connectEarly(actor: ActorName): void {
    const { port1, port2 } = new MessageChannel();
    this.early.get(actor)?.close();
    this.early.set(actor, port2);
    if (actor === 'supervisor') this.events.onPort('telemetry', port1);
    else
      this.linkOf(actor)?.tell({
        type: 'peer-connected',
        peer: 'telemetry',
        incarnation: this.incarnationOf('telemetry'),
        port: port1,
      });
  }

  private tellLost(actor: ActorName): void {
    for (const { pair } of ROUTES) {
      if (!pair.includes(actor)) continue;
      const peer = pair[0] === actor ? pair[1] : pair[0];
      if (peer === 'supervisor') this.events.onPeerLost(actor);
      else this.linkOf(peer)?.tell({ type: 'peer-lost', peer: actor });
    }
  }

  private incarnationOf(actor: ActorName): number {
    return actor === 'supervisor' ? 1 : (this.seats.get(actor)?.incarnation ?? 0);
  }
}
