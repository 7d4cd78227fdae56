/** How often a property is tried: `fallback` in the suite, more by `BTCBOT_RUNS`, never more than `most`. */
export const runs = (fallback: number, most = 50_000): number => {
  const asked = Number(process.env.BTCBOT_RUNS ?? '');
  return Number.isSafeInteger(asked) && asked > 0 ? Math.min(asked, most) : fallback;
};
