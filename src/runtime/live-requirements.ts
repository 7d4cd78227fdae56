/** One condition of live trading, met or not. */
export interface LiveRequirement {
  readonly name: string;
  readonly met: boolean;
  /** What was found; for an unmet one, why it is not met. */
  readonly detail: string;
}

/** A requirement that is met when nothing speaks against it. */
export const requirement = (name: string, refusals: readonly string[], whenMet: string): LiveRequirement => ({
  name,
  met: refusals.length === 0,
  detail: refusals.length === 0 ? whenMet : refusals.join('; '),
});
