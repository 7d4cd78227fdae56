/**
 * The rare paths a batch of runs is for: what the bot does when things go wrong. A batch that never came there has
 * proven nothing about them, and says so.
 */
export const RARE_PATHS: Readonly<Record<string, string>> = {
  'execution: order-unknown': 'a submit or cancel with an unknown outcome',
  'reconciliation: evidence-found': 'an unknown submit that turned out to exist',
  'reconciliation: absence-proven': 'an unknown submit that was proven never to have existed',
  'execution: order-rejected': 'an order refused by the venue',
  'execution: order-denied': 'an approved order stopped before its first byte',
  'execution: venue-closed': 'an exchange that says it is closed',
  'execution: venue-open': 'an exchange that was closed and takes orders again',
  'execution: rate-limited': 'a write answered with 429',
  'reconciliation: foreign-order-seen': 'an order that is not ours',
  'reconciliation: foreign-fill': 'a trade that is not ours',
  'reconciliation: cash-movement-booked': 'a deposit or withdrawal while running',
  'reconciliation: private-feed-mute': 'a private socket that logs in and says nothing',
  'market-data: book-resync': 'a book taken anew',
  'market-data: market-data-disconnected': 'a lost public socket',
  'supervisor: hold-placed ws-reconnect': 'a reconnect storm',
  'supervisor: hold-placed stale-data': 'stale market data',
  'supervisor: hold-placed book-untrusted': 'a book that cannot be trusted',
  'supervisor: hold-placed reconcile-lag': 'an account not proven for too long',
  'supervisor: hold-placed reject-storm': 'a storm of refusals',
  'supervisor: hold-placed ledger': 'a ledger that does not take records',
  'supervisor: hold-restored operator': 'safe mode that outlived a restart',
  'supervisor: worker-crashed': 'a crashed worker',
  'supervisor: supervisor-paused': 'a supervisor that stood still',
  'supervisor: cancel-all-ordered': 'a cancel-all',
  'supervisor: worker-late': 'a worker whose loop stands still',
  'supervisor: hold-placed restart-storm': 'a restart budget used up',
  'supervisor: hold-placed foreign-order': 'a hold for an order that is not ours',
  'supervisor: kill-drill-ended': 'a kill drill',
  'supervisor: stop-forced': 'a forced stop',
  'ledger: ledger-commit-failed': 'a commit that fails',
  'ledger: ledger-sound-again': 'a disk that is found sound again',
  'execution: intent-denied': 'an intent that the gate refused',
  'fault: an intent is refused by the disk': 'an intent that the disk refuses, with nobody else to stop it',
  'fault: books grow old in silence': 'books that grow old while the strategy goes on asking',
  'fault: power goes after a commit': 'a power cut right after a commit',
  'fault: power goes in a commit, which is torn': 'a power cut in a commit',
};

/** The rare paths that `coverage` shows fewer than `least` visits of, in words. */
export const missedPaths = (coverage: ReadonlyMap<string, number>, least = 1): readonly string[] =>
  Object.entries(RARE_PATHS).flatMap(([key, words]) => ((coverage.get(key) ?? 0) >= least ? [] : [words]));
