/** Aligned text tables for people. */
import { formatDecimal, formatFixed, roundTo } from '../domain/money.js';

export interface Column<Row> {
  readonly title: string;
  /** Numbers are right-aligned. */
  readonly align?: 'left' | 'right';
  cell(row: Row): string;
}

/** Lines of a table with a header; only a sentence when there are no rows. */
export const renderTable = <Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  whenEmpty: string,
): string => {
  if (rows.length === 0) return `${whenEmpty}\n`;
  const cells = rows.map(row => columns.map(column => oneLine(column.cell(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map(line => (line[index] ?? '').length)),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) =>
        columns[index]?.align === 'right'
          ? text.padStart(widths[index] ?? 0)
          : text.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return `${[line(columns.map(column => column.title)), ...cells.map(line)].join('\n')}\n`;
};

/** Exact text of an amount, or a dash. */
export const exact = (value: bigint | null | undefined): string =>
  value === null || value === undefined ? '-' : formatDecimal(value);

/** An amount of an asset rounded for reading: lira and dollars to 2 decimals, everything else to 8. */
export const readable = (value: bigint | null, asset: string): string =>
  value === null ? '-' : formatFixed(value, asset === 'TRY' || asset === 'USDT' ? 2 : 8, 'half-up');

/** A price with at most 8 decimals, or a dash. */
export const readablePrice = (value: bigint | null): string =>
  value === null ? '-' : formatDecimal(roundTo(value, 8, 'half-up'));

/** UTC ISO-8601, or a dash. */
export const time = (ms: number | null): string => (ms === null ? '-' : new Date(ms).toISOString());

/** As JSON has it: UTC ISO-8601 or null. */
export const jsonTime = (ms: number | null): string | null =>
  ms === null ? null : new Date(ms).toISOString();

/** Exact decimal text or null. */
export const jsonAmount = (value: bigint | null): string | null =>
  value === null ? null : formatDecimal(value);

/** Pretty JSON with a final newline. Amounts must already be text. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Text from outside must not break a line or command the terminal. */
const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ');
