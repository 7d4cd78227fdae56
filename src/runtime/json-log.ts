/** The log for machines: one JSON object a line, through pino, whatever the facts contain. */
import { pino } from 'pino';
import type { LogLine } from '../messages/telemetry.js';
import { cleanFacts, cleanText, MAX_LINE_CHARS } from './clean-text.js';

/** Makes a writer of log lines; each call of `write` gets one whole line with its end. */
export const jsonLog = (write: (line: string) => void): ((line: LogLine) => void) => {
  const logger = pino(
    {
      base: null,
      timestamp: false,
      level: 'trace',
      messageKey: 'event',
      formatters: { level: label => ({ level: label }) },
    },
    { write },
  );
  return line => {
    const time = new Date(line.atMs).toISOString();
    const fields = cleanFacts(line.fields) as Readonly<Record<string, unknown>>;
    const entry = { ...fields, time, actor: line.actor };
    const event = cleanText(line.event, 100);
    if (JSON.stringify(entry).length + event.length <= MAX_LINE_CHARS - 100) logger[line.level](entry, event);
    else logger[line.level]({ time, actor: line.actor, tooLong: Object.keys(fields).slice(0, 20) }, event);
  };
};
