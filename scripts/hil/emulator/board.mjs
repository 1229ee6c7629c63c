// A Raspberry Pi Pico around rp2040js: `node board.mjs BOOTROM FLASH CONSOLE LINE`.
//
// FLASH is the chip's image (2 MiB; what lies behind them is read only), read at the start and written as the board writes. CONSOLE and LINE are numbers of
// open descriptors: the ptys of the USB console and of UART0, non-blocking. On stdin lines of JSON: {"adc": {"0": channel, ...}}
// (waveform.mjs), {"levels": {"22": false, ...}} of GPIO pins that something outside drives, {"report": true}. On stdout lines of JSON: {"ready": true} after each start,
// {"emulated_s": ..., "wall_s": ..., "flash_operations": ...} to a report.
import fs from 'node:fs';
import readline from 'node:readline';
import { randomBytes } from 'node:crypto';
import { BasePeripheral, ConsoleLogger, LogLevel, Simulator, USBCDC } from 'rp2040js';
import { Chip, IoQspi, Ssi } from './flash.mjs';
import { codeAt } from './waveform.mjs';

const [, , bootromFile, flashFile, ...descriptors] = process.argv;
const bootrom = fs.readFileSync(bootromFile);
const image = fs.openSync(flashFile, 'r+');
const [CONSOLE, LINE] = descriptors.map(Number);
const SLICE_NANOS = 1e6;
const CYCLE_NANOS = 8; // 125 MHz
const UART_DR = 0;
const UART_TX_INTERRUPT = 32;
const RANDOM_BIT = 0x1c;

let channels = {};
let levels = {};
let emulatedNanos = 0; // of boots that are over

const say = (what) => fs.writeSync(1, JSON.stringify(what) + '\n');

// A pty that nobody reads takes no more: what does not fit is lost, as on a cable that ends nowhere.
function write(descriptor, bytes) {
  try {
    fs.writeSync(descriptor, Buffer.from(bytes));
  } catch (error) {
    if (error.code !== 'EAGAIN' && error.code !== 'EIO') throw error;
  }
}

function read(descriptor, most) {
  const bytes = Buffer.alloc(most);
  try {
    return most ? bytes.subarray(0, fs.readSync(descriptor, bytes, 0, most, null)) : bytes;
  } catch (error) {
    if (error.code !== 'EAGAIN' && error.code !== 'EIO') throw error;
    return bytes.subarray(0, 0);
  }
}

// The ring oscillator's random bit is where MicroPython's os.urandom comes from on this chip.
class Rosc extends BasePeripheral {
  constructor(mcu) {
    super(mcu, 'ROSC');
    this.bits = [];
  }

  readUint32(offset) {
    if (offset !== RANDOM_BIT) return 0xffffffff;
    if (!this.bits.length) for (const byte of randomBytes(64)) for (let n = 0; n < 8; n++) this.bits.push((byte >> n) & 1);
    return this.bits.pop();
  }

  writeUint32() {}
}

// Bytes to UART0 arrive at the line's speed. The stock model raises its transmit interrupt for ever, which hangs
// MicroPython's driver; a PL011 raises it once, when its FIFO drains.
function wireUart(mcu) {
  const uart = mcu.uart[0];
  const waiting = [];
  const sent = [];
  const byteNanos = () => (10 * 1e9) / (uart.baudRate || 115200);
  const arrival = mcu.clock.createAlarm(() => {
    uart.feedByte(waiting.shift());
    if (waiting.length) arrival.schedule(byteNanos());
  });
  uart.checkInterrupts = () => mcu.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  const stock = uart.writeUint32.bind(uart);
  uart.writeUint32 = (offset, value) => {
    stock(offset, value);
    if (offset === UART_DR) {
      uart.interruptStatus |= UART_TX_INTERRUPT;
      uart.checkInterrupts();
    }
  };
  uart.onByte = (byte) => sent.push(byte);
  return () => {
    if (sent.length) write(LINE, sent.splice(0));
    const idle = !waiting.length;
    waiting.push(...read(LINE, 256 - Math.min(256, waiting.length)));
    if (idle && waiting.length) arrival.schedule(byteNanos());
  };
}

// A host that has nothing to say says nothing. The stock one answers every request with an empty packet, which keeps
// the board from ever sleeping and the emulator busy.
function wireConsole(mcu) {
  const usb = mcu.usbCtrl;
  const cdc = new USBCDC(usb);
  let connected = false;
  let asked = 0; // bytes that the board has room for
  cdc.onDeviceConnected = () => {
    connected = true;
    say({ ready: true });
  };
  cdc.onSerialData = (bytes) => write(CONSOLE, bytes);
  usb.onEndpointRead = (endpoint, size) => {
    if (endpoint === cdc.outEndpoint) asked = size;
  };
  return () => {
    if (!connected || !asked) return;
    const bytes = read(CONSOLE, asked);
    if (!bytes.length) return;
    asked = 0;
    usb.endpointReadDone(cdc.outEndpoint, bytes);
  };
}

// The stock model masks the next channel of a round robin with the wrong constant.
function wireAdc(mcu) {
  const { adc } = mcu;
  Object.defineProperty(adc, 'activeChannel', {
    get: () => (adc.cs >> 12) & 7,
    set: (channel) => (adc.cs = (adc.cs & ~(7 << 12)) | (channel << 12)),
  });
  adc.onADCRead = (channel) => {
    adc.currentChannel = channel;
    const wave = channels[channel];
    adc.channelValues[channel] = wave ? codeAt(wave, (emulatedNanos + mcu.clock.nanos) / 1e9) : 0;
    adc.sampleAlarm.schedule(adc.sampleTime * 1000);
  };
}

function drive(mcu) {
  for (const [pin, level] of Object.entries(levels)) mcu.gpio[pin].setInputValue(level);
}

function start() {
  const mcu = new Simulator().rp2040; // its clock is what is needed of it: it runs here, in slices
  mcu.logger = new ConsoleLogger(LogLevel.Error);
  mcu.loadBootrom(new Uint32Array(bootrom.buffer, bootrom.byteOffset, bootrom.length / 4));
  fs.readSync(image, mcu.flash, 0, mcu.flash.length, 0);
  const chip = new Chip(mcu.flash, image);
  const ssi = new Ssi(mcu, chip);
  Object.assign(mcu.peripherals, { 0x18000: ssi, 0x40018: new IoQspi(mcu, ssi), 0x40060: new Rosc(mcu) });
  wireAdc(mcu);
  drive(mcu);
  const board = { mcu, chip, ended: false, carry: [wireUart(mcu), wireConsole(mcu)] };
  mcu.peripherals[0x40058].onWatchdogTrigger = () => (board.ended = true); // machine.reset() or a real bite
  mcu.core.PC = 0x10000000; // where the bootrom hands over to flash
  return board;
}

function runSlice({ mcu, ...board }) {
  const { clock, core } = mcu;
  const until = clock.nanos + SLICE_NANOS;
  while (clock.nanos < until) {
    if (!core.waiting) clock.tick(core.executeInstruction() * CYCLE_NANOS);
    else {
      // asleep: on to the next alarm, but no further than the world outside has been looked at
      const next = clock.nextAlarm ? clock.nanosToNextAlarm : SLICE_NANOS;
      clock.tick(Math.max(CYCLE_NANOS, Math.min(next, until - clock.nanos)));
    }
  }
  return board;
}

let board = start();
let operations = 0;
const began = performance.now();

// Never faster than the world: time-outs that count emulated milliseconds wait for a concentrator that is real.
function live() {
  for (let slices = 0; slices < 20; slices++) {
    runSlice(board);
    for (const carry of board.carry) carry();
    if (board.ended) {
      emulatedNanos += board.mcu.clock.nanos;
      operations += board.chip.operations;
      board = start();
    }
  }
  setTimeout(live, Math.max(0, (emulatedNanos + board.mcu.clock.nanos) / 1e6 - (performance.now() - began)));
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line);
  if (told.adc) channels = told.adc;
  if (told.levels) {
    levels = told.levels;
    drive(board.mcu);
  }
  if (told.report)
    say({
      emulated_s: (emulatedNanos + board.mcu.clock.nanos) / 1e9,
      wall_s: (performance.now() - began) / 1e3,
      flash_operations: operations + board.chip.operations,
    });
}).on('close', () => process.exit(0)); // whoever started it is gone
live();
