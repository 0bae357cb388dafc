// Reads the ZIP that the argument names with yauzl, by its central directory.
const crypto = require('node:crypto');
const yauzl = require('yauzl');

yauzl.open(process.argv[2], { lazyEntries: true, strictFileNames: true }, (error, zip) => {
  if (error) throw error;
  const lines = [];
  zip.on('entry', (entry) => {
    zip.openReadStream(entry, (failure, stream) => {
      if (failure) throw failure;
      const digest = crypto.createHash('sha256');
      stream.on('data', (piece) => digest.update(piece));
      stream.on('end', () => {
        lines.push(`${digest.digest('hex')}\t${entry.fileName}\n`);
        zip.readEntry();
      });
    });
  });
  zip.on('end', () => process.stdout.write(lines.join('')));
  zip.readEntry();
});
