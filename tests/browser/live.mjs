// Pages that change by themselves, while a demo is followed and reorganised behind them; across a cut of the socket too.
//
//   node tests/browser/live.mjs http://127.0.0.1:8080 [FOLDER FOR SCREENSHOTS]
//
// The server must still be following its chain, with reorgs in it.

import { check, finish, inaccessible, origin, page, part, shoot, text, unless, visit } from './harness.mjs';

const INDEXED = '.heads div:has(dt:text-is("indexed")) dd';
const SEALED = '.heads .strong dd';
const TOLD = '[data-live="told"]';

// Everything passes through here: what the page asks for, what it is told, and whether it may connect at all.
const line = { asked: [], blocks: [], cut: () => {}, closed: false };
await page.routeWebSocket(/\/graphql$/, (socket) => {
  if (line.closed) return void socket.close({ code: 1001 });
  const server = socket.connectToServer();
  let open = true;
  line.cut = async () => {
    open = false;
    await Promise.all([socket.close({ code: 1001 }), server.close({ code: 1001 })]);
  };
  socket.onMessage((message) => {
    const { type, payload } = JSON.parse(message);
    if (type === 'subscribe' && payload.query.includes('blocks(')) line.asked.push(payload.variables.after);
    server.send(message);
  });
  server.onMessage((message) => {
    if (!open) return;
    const event = JSON.parse(message).payload?.data?.blocks;
    if (event) line.blocks.push(event);
    socket.send(message);
  });
});

// The chain behind the page has to get on, too, on a machine that may be busy with other things.
page.setDefaultTimeout(300_000);
await published();
await part('overview, live', overview);
await part('cut socket', cut);
await part('reorg', reorg);
await part('other pages, live', others);
await finish();

/** Waits until there is something to show: before the first snapshot the server says that it is not ready. */
async function published() {
  const body = JSON.stringify({ query: '{ status { snapshot } }' });
  for (;;) {
    const response = await fetch(`${origin}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const answer = await response.json();
    if (Number.isInteger(answer.data?.status.snapshot)) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Waits until the number under a selector is larger than it was. */
function grows(selector, before) {
  return page.waitForFunction(
    ([where, least]) => Number(document.querySelector(where)?.textContent.replace(/\D/g, '')) > least,
    [selector, before],
  );
}

/** Waits until so many events about blocks have come. */
async function told(events) {
  for (let i = 0; line.blocks.length < events; i += 1) {
    if (i === 3_000) throw new Error(`${line.blocks.length} events about blocks have come, not ${events}`);
    await page.waitForTimeout(100);
  }
}

async function number(selector) {
  return Number((await text(selector)).replace(/\D/g, ''));
}

/** The same in the page's own terms: `:text-is` is none of CSS's. */
async function cell(selector) {
  await page.locator(selector).first().evaluate((found) => found.setAttribute('data-watched', ''));
  return '[data-watched]';
}

async function overview() {
  await visit('#/');
  await page.locator(TOLD).waitFor();
  // What is said while other things are checked is kept: the next news takes its place on the page.
  await page.evaluate(() => {
    globalThis.said = [];
    const region = document.querySelector('footer [aria-live="polite"]');
    const watching = new MutationObserver(() => globalThis.said.push(region.textContent));
    watching.observe(region, { childList: true, characterData: true, subtree: true });
  });
  // Of blocks that were final before anybody looked nothing is told: those come first.
  await told(1);
  await page.evaluate(() => (globalThis.notReloaded = true));
  await check('the overview goes on without being loaded again', async () => {
    const [indexed, sealed] = [await number(INDEXED), await number(SEALED)];
    await grows(await cell(INDEXED), indexed);
    await grows(SEALED, sealed);
    return unless(await page.evaluate(() => globalThis.notReloaded), 'the page was loaded again');
  });
}

async function cut() {
  await check('without a socket the page asks every so often', async () => {
    line.closed = true;
    await line.cut();
    await page.locator('[data-live="asked"]').waitFor();
    await grows(SEALED, await number(SEALED));
    return null;
  });
  await check('when it is back it goes on behind the last event, and none is missed', async () => {
    const heard = line.blocks.at(-1).sequence;
    line.closed = false;
    await page.locator(TOLD).waitFor();
    await told(line.blocks.length + 1);
    const gap = line.blocks.findIndex((event, i) => i > 0 && event.sequence !== line.blocks[i - 1].sequence + 1);
    return unless(line.asked.at(-1) === heard && gap === -1, `after ${line.asked.at(-1)}, not ${heard}; a gap at ${gap}`);
  });
}

async function reorg() {
  await check('a reorg is said politely, and what was taken back is not shown', async () => {
    await page.waitForFunction(() => globalThis.said.some((news) => /took back/.test(news)));
    return unless(line.blocks.some((event) => event.__typename === 'Retracted'), 'nothing was retracted');
  });
  await check('a live page is accessible', inaccessible);
  await shoot('live');
}

async function others() {
  const first = 'section:has(#conservation) tbody th a';
  await check('the list of epochs grows at its head', async () => {
    await visit('#/epoch');
    await page.locator(first).first().waitFor();
    await grows(first, await number(first));
    return null;
  });
  await check('the list of blobs counts on', async () => {
    await visit('#/blob');
    const caption = 'section:has(#blobs) caption';
    await page.locator(caption).waitFor();
    await grows(caption, await number(caption));
    return null;
  });
  await check('the status goes on', async () => {
    await visit('#/status');
    const sealed = 'section:has(#heads) tbody tr:last-child td';
    await page.locator(sealed).first().waitFor();
    await grows(sealed, await number(sealed));
    return null;
  });
  await check('an account sees what it earns, and keeps the epoch that is explained', async () => {
    await visit('#/account');
    await page.locator('section:has(#accounts) th a').first().click();
    await page.locator('section:has(#why) caption').waitFor();
    const [earned, epoch] = [await text('.owed .figure'), await page.getByLabel('Epoch', { exact: true }).inputValue()];
    await page.waitForFunction((before) => document.querySelector('.owed .figure').innerText !== before, earned);
    const after = await page.getByLabel('Epoch', { exact: true }).inputValue();
    return unless(after === epoch, `epoch ${epoch} was explained, now ${after}`);
  });
}
