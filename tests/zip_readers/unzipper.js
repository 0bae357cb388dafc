// Reads a ZIP from standard input with unzipper, from front to back.
const crypto = require('node:crypto');
const unzipper = require('unzipper');

async function main() {
  const lines = [];
  for await (const entry of process.stdin.pipe(unzipper.Parse({ forceStream: true }))) {
    const digest = crypto.createHash('sha256');
    for await (const piece of entry) digest.update(piece);
    lines.push(`${digest.digest('hex')}\t${entry.path}\n`);
  }
  process.stdout.write(lines.join(''));
}

main();
