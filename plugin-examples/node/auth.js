// Lets requests pass whose fields have the values that a file names; see
// README.md.
'use strict';

const fs = require('node:fs');
const { parseArgs } = require('node:util');
const plugin = require('./plugin');

const { values: options } = parseArgs({ options: { config: { type: 'string', short: 'c' }, listen: { type: 'string' } } });
if (!options.config) {
  console.error('-c names a file such as {"User": "admin"}');
  process.exit(1);
}
const lower = (fields) => new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
const expected = lower(JSON.parse(fs.readFileSync(options.config, 'utf8')));

function decide(request) {
  if (request.type === 'response') return { header: { 'X-Checked-By': 'node' } };
  const fields = lower(request.header);
  // Fields of one name come joined by commas, so that a second one is no match.
  for (const [name, value] of expected) {
    if (fields.get(name) !== value) return { status: plugin.DENY };
  }
  return {
    // A field that clients must not set is removed by an empty value.
    header: { 'X-Checked-By': 'node', 'X-Internal': '' },
    body: redacted(request.body),
  };
}

// An empty body in an answer leaves the body as it is.
function redacted(body) {
  // Latin-1 has a character for each byte, so that all others stay what they are.
  const before = body.toString('latin1');
  let after = before;
  for (const value of expected.values()) {
    if (value) after = after.replaceAll(Buffer.from(value).toString('latin1'), '***');
  }
  return after === before ? undefined : Buffer.from(after, 'latin1');
}

plugin.serve(decide, options.listen);
