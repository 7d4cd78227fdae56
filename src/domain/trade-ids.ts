/**
 * Ids of trades that are kept for as long as the bot runs: which trades are booked must never be forgotten, and there is
 * one more with every fill. The venue's ids are numbers of up to 64 bits (protocol section 0.3), and such an id takes 11
 * to 22 bytes here, where it takes 60 as a text in a `Set`. Any other text is kept as it is. Nothing is hashed away: an id
 * is in the set exactly when it was added.
 */
import type { TradeId } from './order.js';

const WORD = 2 ** 32;
/** Digits of the greatest number of 64 bits. */
const DIGITS_MOST = 20;
const ZERO = 48;
const PLACES_FIRST = 16;

/** Whether a trade is among some. */
export type KnownTrades = Pick<ReadonlySet<TradeId>, 'has'>;

export class TradeIds implements KnownTrades {
  /** Open addressing: a number's two halves, or twice 0 where there is none. No id is 0: such a text is no number here. */
  private words = new Uint32Array(2 * PLACES_FIRST);
  private mask = PLACES_FIRST - 1;
  private numbers = 0;
  private readonly texts = new Set<TradeId>();
  /** The number that was read last. */
  private low = 0;
  private high = 0;

  constructor(ids: Iterable<TradeId> = []) {
    for (const id of ids) this.add(id);
  }

  get size(): number {
    return this.numbers + this.texts.size;
  }

  has(id: TradeId): boolean {
    return this.isNumber(id) ? this.isTaken(this.placeOf(this.low, this.high)) : this.texts.has(id);
  }

  add(id: TradeId): this {
    if (!this.isNumber(id)) this.texts.add(id);
    else {
      const place = this.placeOf(this.low, this.high);
      if (this.isTaken(place)) return this;
      this.put(place, this.low, this.high);
      this.numbers += 1;
      if (4 * this.numbers > 3 * (this.mask + 1)) this.grow();
    }
    return this;
  }

  /** @returns whether it was there */
  delete(id: TradeId): boolean {
    if (!this.isNumber(id)) return this.texts.delete(id);
    let gap = this.placeOf(this.low, this.high);
    if (!this.isTaken(gap)) return false;
    // What stands behind the gap and was pushed there by it moves up: a search ends at the first empty place.
    for (let place = this.after(gap); this.isTaken(place); place = this.after(place)) {
      const [low, high] = this.at(place);
      const home = this.homeOf(low, high);
      if (((place - home) & this.mask) < ((place - gap) & this.mask)) continue;
      this.put(gap, low, high);
      gap = place;
    }
    this.put(gap, 0, 0);
    this.numbers -= 1;
    return true;
  }

  /** Whether an id is a number of 64 bits in the only way to write it; then it stands in `low` and `high`. */
  private isNumber(id: TradeId): boolean {
    if (id.length === 0 || id.length > DIGITS_MOST || id.charCodeAt(0) === ZERO) return false;
    let low = 0;
    let high = 0;
    for (let index = 0; index < id.length; index++) {
      const digit = id.charCodeAt(index) - ZERO;
      if (digit < 0 || digit > 9) return false;
      const grown = 10 * low + digit;
      low = grown % WORD;
      high = 10 * high + Math.floor(grown / WORD);
    }
    this.low = low;
    this.high = high;
    return high < WORD;
  }

  private at(place: number): readonly [low: number, high: number] {
    return [this.words[2 * place] ?? 0, this.words[2 * place + 1] ?? 0];
  }

  private put(place: number, low: number, high: number): void {
    this.words[2 * place] = low;
    this.words[2 * place + 1] = high;
  }

  private isTaken(place: number): boolean {
    return this.words[2 * place] !== 0 || this.words[2 * place + 1] !== 0;
  }

  private after(place: number): number {
    return (place + 1) & this.mask;
  }

  private homeOf(low: number, high: number): number {
    let mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 13)) & this.mask;
  }

  /** Where a number stands, or the empty place where it belongs. */
  private placeOf(low: number, high: number): number {
    let place = this.homeOf(low, high);
    while (this.isTaken(place) && (this.words[2 * place] !== low || this.words[2 * place + 1] !== high))
      place = this.after(place);
    return place;
  }

  private grow(): void {
    const { words } = this;
    this.mask = 2 * this.mask + 1;
    this.words = new Uint32Array(2 * (this.mask + 1));
    for (let index = 0; index < words.length; index += 2) {
      const low = words[index] ?? 0;
      const high = words[index + 1] ?? 0;
      if (low !== 0 || high !== 0) this.put(this.placeOf(low, high), low, high);
    }
  }
}
