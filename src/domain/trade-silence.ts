/**
 * Whether the trades of a symbol still reach us. A pair may rarely trade, so silence alone says nothing; but the ticker
 * shows the last price and the volume of the day (protocol section 9.5), and when these show a trade that the trade
 * channel does not, the channel is mute although the socket lives.
 */

/** The two channels are not synchronised (protocol section 9.6): so much earlier a trade's own frame may have come. */
const SKEW_MS = 5_000;
/** A trade that the ticker shows must be on its channel within this. */
export const UNHEARD_TRADE_MS = 10_000;

export interface TradeSilence {
  /** As the ticker last told them. */
  last: string | null;
  dayVolume: number | null;
  tickerMonoMs: number;
  /** When the ticker first showed a trade that was not heard; null when there is none. */
  unheardSinceMonoMs: number | null;
  /** Joins in a row that did not help. */
  rejoins: number;
}

export const initialTradeSilence = (): TradeSilence => ({
  last: null,
  dayVolume: null,
  tickerMonoMs: Number.NEGATIVE_INFINITY,
  unheardSinceMonoMs: null,
  rejoins: 0,
});

/** The ticker spoke. @param heardMonoMs when the trade channel last did; null for not yet */
export const noteTicker = (
  silence: TradeSilence,
  ticker: { readonly last: string | null; readonly dayVolume: number | null },
  heardMonoMs: number | null,
  monoMs: number,
): void => {
  const { last, dayVolume, tickerMonoMs } = silence;
  // The volume is that of a moving day: it falls without a trade, and grows only by one.
  const showsTrade =
    (last !== null && ticker.last !== null && ticker.last !== last) ||
    (dayVolume !== null && ticker.dayVolume !== null && ticker.dayVolume > dayVolume);
  const wasHeard = heardMonoMs !== null && heardMonoMs >= tickerMonoMs - SKEW_MS;
  if (showsTrade && !wasHeard) silence.unheardSinceMonoMs ??= monoMs;
  silence.last = ticker.last;
  silence.dayVolume = ticker.dayVolume;
  silence.tickerMonoMs = monoMs;
};

/** The trade channel spoke. @param live false for the replay that follows a join, which proves only the join */
export const noteTrades = (silence: TradeSilence, live: boolean): void => {
  silence.unheardSinceMonoMs = null;
  if (live) silence.rejoins = 0;
};

/** A trade was shown long ago and not heard. */
export const isMute = ({ unheardSinceMonoMs }: TradeSilence, monoMs: number): boolean =>
  unheardSinceMonoMs !== null && monoMs - unheardSinceMonoMs >= UNHEARD_TRADE_MS;
