/** What a cancel-all came to. */
export interface CancelAllReport {
  /** `bot`: carried out by the running bot; `direct`: by this command, because no bot runs. */
  readonly by: 'bot' | 'direct';
  /** Own orders that were open when it was ordered. */
  readonly orders: number;
  /** From the order to the last cancel sent, ms; null when none was sent. */
  readonly lastCancelMs: number | null;
  /** From the order to the moment at which none of them was left, ms; null when some are. */
  readonly verifiedZeroMs: number | null;
  /** Client order ids that are still open. */
  readonly left: readonly string[];
  /** Whether the strategy may place new orders. */
  readonly maySubmit: boolean;
}

export const reportText = (report: CancelAllReport): string => {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
  const who = report.by === 'bot' ? 'through the running bot' : 'directly, because no bot runs';
  const sent =
    report.lastCancelMs === null
      ? 'no cancel was needed'
      : `last cancel sent after ${seconds(report.lastCancelMs)}`;
  const end =
    report.verifiedZeroMs === null
      ? `STILL OPEN: ${report.left.length === 0 ? 'the exchange does not show zero yet' : report.left.join(', ')}`
      : `none of them is left, verified after ${seconds(report.verifiedZeroMs)}`;
  const more = report.maySubmit
    ? '\nThe strategy may place new ones: KILL_SWITCH=true and a restart stop that.'
    : '';
  return `${report.orders} open orders, canceled ${who}: ${sent}; ${end}${more}\n`;
};
