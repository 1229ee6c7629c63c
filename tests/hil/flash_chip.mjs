// The emulated flash chip as its users see it: `node --test tests/hil/flash_chip.mjs`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Chip } from '../../scripts/hil/emulator/flash.mjs';
import { codeAt, voltsAt } from '../../scripts/hil/emulator/waveform.mjs';

const SIZE = 1 << 16;

function newChip() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chip-'));
  const place = path.join(folder, 'image');
  fs.writeFileSync(place, Buffer.alloc(SIZE, 0xff));
  const chip = new Chip(new Uint8Array(SIZE).fill(0xff), fs.openSync(place, 'r+'));
  const command = (...bytes) => {
    const answers = bytes.map((byte) => chip.shift(byte));
    chip.deselect();
    return answers;
  };
  return { chip, command, file: () => fs.readFileSync(place) };
}

test('programming only clears bits, and the file has it at once', () => {
  const { chip, command, file } = newChip();
  for (const value of [0xf0, 0x3c]) {
    command(6);
    command(2, 0, 1, 0, value);
  }
  assert.equal(chip.bytes[256], 0x30);
  assert.equal(file()[256], 0x30);
  assert.equal(chip.operations, 2);
});

test('nothing changes that was not enabled, and one enabling serves one command', () => {
  const { chip, command } = newChip();
  command(2, 0, 0, 0, 0);
  assert.equal(chip.bytes[0], 0xff);
  command(6);
  assert.equal(command(5, 0)[1], 2);
  command(2, 0, 0, 0, 0);
  assert.equal(command(5, 0)[1], 0);
  command(2, 0, 0, 1, 0);
  assert.deepEqual([...chip.bytes.subarray(0, 2)], [0, 0xff]);
});

test('a page wraps into itself', () => {
  const { chip, command } = newChip();
  command(6);
  command(2, 0, 0, 255, 1, 2);
  assert.deepEqual([chip.bytes[255], chip.bytes[0], chip.bytes[256]], [1, 2, 0xff]);
});

test('an erased sector is that sector and nothing beside it', () => {
  const { chip, command, file } = newChip();
  for (const at of [0x0fff, 0x1000, 0x1fff, 0x2000]) {
    command(6);
    command(2, 0, at >> 8, at & 255, 0);
  }
  command(6);
  command(0x20, 0, 0x12, 0x34);
  const found = [0x0fff, 0x1000, 0x1fff, 0x2000].map((at) => chip.bytes[at]);
  assert.deepEqual(found, [0, 0xff, 0xff, 0]);
  assert.deepEqual([...file()], [...chip.bytes]);
});

test('a command that the power ends before the chip select rises changes nothing', () => {
  const { chip, command, file } = newChip();
  command(6);
  for (const byte of [2, 0, 0, 0, 0, 0]) chip.shift(byte);
  assert.equal(file()[0], 0xff);
});

test('a waveform is what it says and clips at the rails', () => {
  const wave = { volts: 1.65, sines: [[1, 50, 90]] };
  assert.ok(Math.abs(voltsAt(wave, 0) - 2.65) < 1e-9);
  assert.ok(Math.abs(voltsAt(wave, 0.01) - 0.65) < 1e-9);
  assert.equal(codeAt({ volts: 1.65 }, 0), 2048);
  assert.equal(codeAt({ volts: 9 }, 0), 4095);
  assert.equal(codeAt({ volts: -1 }, 0), 0);
  assert.equal(codeAt({ volts: 1, stuck: 7 }, 0), 7);
});
