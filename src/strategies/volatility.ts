/** How much a price moves, as an exponentially weighted deviation of its one-second moves, in basis points. */
export interface Volatility {
  /** Takes the price at a time in ms; samples closer than a second to the last one are skipped. */
  observe(price: number, atMs: number): void;
  /** Standard deviation of the move of one second, bps; 0 until there are enough moves to say. */
  readonly bps: number;
}

const SAMPLE_MS = 1_000;
const LEAST_SAMPLES = 5;

/** @param halfLifeMs age at which a move counts half */
export const createVolatility = (halfLifeMs: number): Volatility => {
  let lastPrice = 0;
  let lastAtMs = 0;
  let variance = 0;
  let weight = 0;
  let samples = 0;
  return {
    observe: (price, atMs) => {
      if (samples === 0 && lastPrice === 0) {
        lastPrice = price;
        lastAtMs = atMs;
        return;
      }
      const elapsedMs = atMs - lastAtMs;
      if (elapsedMs < SAMPLE_MS) return;
      const moveBps = Math.log(price / lastPrice) * 10_000;
      // A move over a longer gap counts as that many moves of one second.
      const perSecond = (moveBps * moveBps * 1_000) / elapsedMs;
      const kept = 0.5 ** (elapsedMs / halfLifeMs);
      variance = variance * kept + perSecond * (1 - kept);
      weight = weight * kept + (1 - kept);
      lastPrice = price;
      lastAtMs = atMs;
      samples += 1;
    },
    get bps() {
      return samples < LEAST_SAMPLES ? 0 : Math.sqrt(variance / weight);
    },
  };
};
