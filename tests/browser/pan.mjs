// How smoothly a large graph is dragged about where there is no graphics card: frames a second, and what each costs all processes
// of the browser together, which says more on a machine that does other things too.
//
//   node tests/browser/pan.mjs http://127.0.0.1:8080
//
// NODES is 20,000 when not given. The same walk at its smallest size is a test (large.mjs), which judges no time.

import { readdirSync, readFileSync } from 'node:fs';

import { finish, page } from './harness.mjs';
import { dragged, opened } from './large.mjs';

const NODES = Number(process.env.NODES ?? 20_000);
const SECONDS = 6;

await opened(NODES);
const shown = (await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, '');
// What opening left to be done is not the drag's.
await page.waitForTimeout(3_000);
for (const zoomed of [false, true]) {
  if (zoomed) {
    for (let i = 0; i < 5; i += 1) await page.getByRole('button', { name: 'Zoom in' }).click({ delay: 200 });
    await page.waitForTimeout(3_000);
  }
  const before = cpu();
  const { frames, seconds } = await dragged(SECONDS);
  const spent = (cpu() - before) / frames;
  const rate = (frames / seconds).toFixed(1);
  console.log(`${shown} nodes, ${zoomed ? 'zoomed in' : 'whole'}: ${rate} frames a second, ${spent.toFixed(0)} ms of CPU each`);
}
await finish();

/** CPU milliseconds of every process below this one, so far. */
function cpu() {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap(stat);
  const mine = new Set([process.pid]);
  for (let grew = true; grew; ) {
    const more = processes.filter(({ pid, parent }) => mine.has(parent) && !mine.has(pid));
    grew = more.length > 0;
    for (const { pid } of more) mine.add(pid);
  }
  // A tick of the kernel's accounting is ten milliseconds.
  const ticks = processes.filter(({ pid }) => pid !== process.pid && mine.has(pid)).map((one) => one.ticks);
  return ticks.reduce((sum, one) => sum + one, 0) * 10;
}

function stat(name) {
  try {
    const text = readFileSync(`/proc/${name}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return [{ pid: Number(name), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
  } catch {
    // It ended while we looked.
    return [];
  }
}
