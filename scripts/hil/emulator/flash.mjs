// The RP2040's serial NOR flash, behind its SSI and its chip select: what the bootrom's erase and program talk to.
//
// rp2040js answers every command with "done" and changes nothing. Here commands act as they do on a chip (JEDEC JESD216,
// W25Q16JV datasheet 8.1): framed by the chip select, armed by WRITE ENABLE, programming only clears bits, 256 bytes
// wrap within their page. Every change is written to the image file before the command returns, so that the file is
// what a power cut leaves. Durations are not modelled: an erased sector takes no time.
import fs from 'node:fs';
import { BasePeripheral } from 'rp2040js';

const PAGE = 256;
const [WRITE_STATUS, PROGRAM, READ, WRITE_DISABLE, READ_STATUS, WRITE_ENABLE] = [1, 2, 3, 4, 5, 6];
const [READ_STATUS_2, READ_IDENTITY] = [0x35, 0x9f];
const ERASED_BYTES = { 0x20: 4096, 0x52: 32768, 0xd8: 65536 };
const WRITE_ENABLED = 2;
const QUAD_ENABLED = 2;
const IDENTITY = [0xef, 0x40, 0x15]; // W25Q16JV, 2 MiB

export class Chip {
  constructor(bytes, file) {
    this.bytes = bytes; // the emulator's own array: XIP reads it directly
    this.file = file; // an open descriptor
    this.armed = false;
    this.command = [];
    this.operations = 0; // erased or programmed so far
  }

  // One byte each way. The first is the command.
  shift(byte) {
    const at = this.command.push(byte) - 1;
    if (at === 0) return 0xff;
    switch (this.command[0]) {
      case READ_STATUS:
        return this.armed ? WRITE_ENABLED : 0;
      case READ_STATUS_2:
        return QUAD_ENABLED;
      case READ_IDENTITY:
        return IDENTITY[at - 1] ?? 0;
      case READ:
        return at >= 4 ? this.bytes[this.address() + at - 4] : 0xff;
    }
    return 0xff;
  }

  // The chip select rises: the command counts.
  deselect() {
    const [code, ...rest] = this.command;
    if (code === WRITE_ENABLE) this.armed = true;
    else if (code !== undefined && this.armed) {
      if (code in ERASED_BYTES && rest.length >= 3) this.erase(ERASED_BYTES[code]);
      if (code === PROGRAM && rest.length > 3) this.program(rest.slice(3));
      if (code in ERASED_BYTES || [PROGRAM, WRITE_STATUS, WRITE_DISABLE].includes(code)) this.armed = false;
    }
    this.command = [];
  }

  address() {
    return (this.command[1] << 16) | (this.command[2] << 8) | this.command[3];
  }

  erase(length) {
    const start = this.address() - (this.address() % length);
    this.bytes.fill(0xff, start, start + length);
    this.keep(start, length);
  }

  program(data) {
    const page = this.address() - (this.address() % PAGE);
    data.forEach((byte, n) => (this.bytes[page + ((this.address() - page + n) % PAGE)] &= byte));
    this.keep(page, PAGE);
  }

  keep(start, length) {
    fs.writeSync(this.file, this.bytes, start, length, start);
    this.operations++;
  }
}

const [SSIENR, TXFLR, RXFLR, SR, IDR, VERSION, DR0] = [0x08, 0x20, 0x24, 0x28, 0x58, 0x5c, 0x60];
const [TRANSMIT_NOT_FULL, TRANSMIT_EMPTY, RECEIVE_NOT_EMPTY] = [2, 4, 8];

// The synchronous serial interface (RP2040 datasheet 4.10.13), in the software-driven mode.
export class Ssi extends BasePeripheral {
  constructor(mcu, chip) {
    super(mcu, 'SSI');
    this.chip = chip;
    this.registers = new Map([[IDR, 0x51535049], [VERSION, 0x3430312a]]);
    this.received = [];
    this.select = 'by the SSI'; // or 'low', 'high': forced by IO_QSPI
  }

  force(select) {
    if (select === this.select) return;
    if (this.select !== 'high') this.chip.deselect();
    this.select = select;
  }

  readUint32(offset) {
    if (offset === TXFLR) return 0;
    if (offset === RXFLR) return this.received.length;
    if (offset === SR) return TRANSMIT_NOT_FULL | TRANSMIT_EMPTY | (this.received.length ? RECEIVE_NOT_EMPTY : 0);
    if (offset < DR0 || offset > 0xec) return this.registers.get(offset) ?? 0;
    const byte = this.received.shift() ?? 0;
    // The SSI itself lets go of the chip when it has nothing more to send: its user has then read every answer.
    if (this.select === 'by the SSI' && !this.received.length) this.chip.deselect();
    return byte;
  }

  writeUint32(offset, value) {
    if (offset >= DR0 && offset <= 0xec) {
      this.received.push(this.select === 'high' ? 0xff : this.chip.shift(value & 0xff));
      return;
    }
    if (offset === SSIENR && !(value & 1)) {
      this.received = [];
      if (this.select === 'by the SSI') this.chip.command = [];
    }
    this.registers.set(offset, value);
  }
}

const SS_CTRL = 0x0c;

// IO_QSPI (datasheet 2.19.6.2): only the chip select's output override matters here.
export class IoQspi extends BasePeripheral {
  constructor(mcu, ssi) {
    super(mcu, 'IO_QSPI');
    this.ssi = ssi;
    this.registers = new Map();
  }

  readUint32(offset) {
    return this.registers.get(offset) ?? 0;
  }

  writeUint32(offset, value) {
    this.registers.set(offset, value);
    if (offset === SS_CTRL) this.ssi.force({ 2: 'low', 3: 'high' }[(value >>> 8) & 3] ?? 'by the SSI');
  }
}
