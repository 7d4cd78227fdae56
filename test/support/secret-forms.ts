/** Every form in which a value could turn up. */
export const formsOf = (value: string): readonly string[] => {
  const bytes = Buffer.from(value);
  return [
    value,
    bytes.toString('base64'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value, 'base64').toString('hex'),
    Buffer.from(value, 'base64').toString('latin1'),
  ].filter(form => form.length >= 8);
};
