/** A command that cannot be carried out as given; the message says what was wrong and what to do. Exit code 2. */
export class CliRefused extends Error {
  override readonly name = 'CliRefused';
}
