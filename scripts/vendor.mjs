// Builds mdms/static/vendor from node_modules: `node scripts/vendor.mjs [FOLDER]` after `npm ci`.
// The versions are exact in package-lock.json, so the same command writes the same bytes; a test holds it to that.

import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = join(ROOT, "node_modules");
const OUT = process.argv[2] ?? join(ROOT, "mdms", "static", "vendor");

const BUNDLES = {
  "hpke.js": 'export { Aes128Gcm, Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";',
  "aes.js": 'import { unsafe } from "@noble/ciphers/aes.js";\nexport const { encrypt, expandKeyLE } = unsafe;',
  "bip39.js":
    'export { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39";\n' +
    'export { wordlist } from "@scure/bip39/wordlists/english.js";',
  "qr.js": 'export { encodeQR } from "qr";',
  "qr_reader.js": 'export { decodeQR } from "qr/decode.js";',
  "uplot.js": 'export { default } from "uplot";',
};
const COPIES = {
  "uplot.css": "uplot/dist/uPlot.min.css",
  "LICENSE.hpke-core": "@hpke/core/LICENSE",
  "LICENSE.hpke-common": "@hpke/common/LICENSE",
  "LICENSE.noble-ciphers": "@noble/ciphers/LICENSE",
  "LICENSE.noble-hashes": "@noble/hashes/LICENSE",
  "LICENSE.qr": "qr/LICENSE-MIT",
  "LICENSE.scure-bip39": "@scure/bip39/LICENSE",
  "LICENSE.uplot": "uplot/LICENSE",
};

await mkdir(OUT, { recursive: true });
for (const [name, contents] of Object.entries(BUNDLES)) {
  await build({
    stdin: { contents, resolveDir: ROOT, sourcefile: name },
    outfile: join(OUT, name),
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "inline",
    logLevel: "warning",
  });
}
for (const [name, from] of Object.entries(COPIES)) {
  await copyFile(join(MODULES, from), join(OUT, name));
}
