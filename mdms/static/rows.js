// Sealed rows (protocol, chapter 2): 24 bytes of header in clear, then nonce, ciphertext and tag.

export const ROW_BYTES = 90;
const HEADER_BYTES = 24;
const NONCE_BYTES = 13;
const DETAIL = 0x02;
const LAYER_CUSTOMER = 2;
const NOT_MEASURED = 0xffff;
const FACTOR_NOT_MEASURED = 0x7fff;

/** Return what a row's header says in clear. */
export function parseHeader(row) {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  return { version: view.getUint8(0), type: view.getUint8(1), title: row.slice(2, 10), epoch: view.getUint16(10) };
}

/** Open a row with the Ccm of its epoch's detail key; throws for anything that is not exactly such a row. */
export function openRow(ccm, row) {
  const { version, type } = parseHeader(row);
  if (row.length !== ROW_BYTES || version !== 1 || type !== DETAIL) throw new Error("not a DETAIL row");
  const nonce = row.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  if (nonce[0] !== LAYER_CUSTOMER) throw new Error("a nonce of another layer");
  for (let i = 1; i < NONCE_BYTES; i++) if (nonce[i] !== row[11 + i]) throw new Error("a nonce that is not the header's");
  return parseDetail(ccm.open(nonce, row.subarray(HEADER_BYTES + NONCE_BYTES), row.subarray(0, HEADER_BYTES)));
}

function parseDetail(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const measured = (value, missing, scale) => (value === missing ? NaN : value / scale);
  return {
    end: view.getUint32(0),
    length: view.getUint16(4),
    importMwh: view.getUint32(6),
    exportMwh: view.getUint32(10),
    // 64 bits: exact to 9 million MWh, which no home's register reaches.
    importRegister: view.getUint32(14) * 2 ** 32 + view.getUint32(18),
    exportRegister: view.getUint32(22) * 2 ** 32 + view.getUint32(26),
    volts: measured(view.getUint16(30), NOT_MEASURED, 10),
    amperes: measured(view.getUint16(32), NOT_MEASURED, 100),
    powerFactor: measured(view.getInt16(34), FACTOR_NOT_MEASURED, 1000),
    quality: view.getUint8(36),
  };
}
