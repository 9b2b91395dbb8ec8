// A graph of 20,000 nodes: the page gets it in place of the server's answer to its own question and must stay usable.
// Frames are for a person to count (pan.mjs); here only what the page says and shows is checked.

import { attribute, check, origin, page, shoot, unless } from './harness.mjs';

const NODES = 20_000;
// Enough that the picture is moved as a large one.
const NODES_LEAST = 1_000;
const MAP = '[role="application"]';
const TOKEN = `0x${'00'.repeat(20)}`;

const id = (kind, number) => `0x${kind}${number.toString(16).padStart(kind === 'c0' ? 38 : 62, '0')}`;
const money = (raw) => ({ raw: String(raw), token: TOKEN, symbol: 'OPEN', decimals: 18 });

/** As the api lays it out: contributors, datasets, models, agents, in columns of a hundred. */
function graph(size) {
  const [agents, models, datasets] = [200, 10, 20 / 3].map((part) => Math.round(size / part));
  const contributors = size - agents - models - datasets;
  const nodes = [];
  const edges = [];
  let x = 0;
  const put = (kind, prefix, count, layer) => {
    for (let i = 0; i < count; i += 1) {
      const earned = [money(BigInt(1 + ((i * 7919) % 100_003)) * 10n ** 12n)];
      const place = { layer, x: x + Math.floor(i / 100) * 20, y: ((i % 100) - 50) * 10 };
      nodes.push({ id: id(prefix, i), kind, label: `${kind} ${i}`, entity: null, owner: null, hidden: 0, earned, ...place });
    }
    x += Math.ceil(count / 100) * 20 + 100;
  };
  put('account', 'c0', contributors, 0);
  put('dataset', 'da', datasets, 1);
  put('model', 'de', models, 2);
  put('agent', 'ae', agents, 3);
  const join = (relation, source, target) =>
    edges.push({ id: `${relation}:${source}:${target}`, source, target, relation, sharePpb: null, contributions: null, money: [money(10n ** 12n)] });
  for (let i = 0; i < contributors; i += 1) join('CONTRIBUTED_BY', id('c0', i), id('da', (i * 31) % datasets));
  for (let i = 0; i < datasets; i += 1) join('TRAINED_ON', id('da', i), id('de', (i * 17) % models));
  for (let i = 0; i < models; i += 1) join('USES_MODEL', id('de', i), id('ae', i % agents));
  for (let i = 1; i < agents; i += 1) join('CALLS_AGENT', id('ae', i), id('ae', 0));
  return { focus: id('ae', 0), nodes, edges, leftOut: [] };
}

/** Answers the page's question about the graph with ours; every other question goes to the server. */
export async function opened(size) {
  const answer = graph(size);
  await page.route(`${origin}/graphql`, async (route) => {
    if (!(route.request().postData() ?? '').includes('query Provenance')) return route.fallback();
    const response = await route.fetch({ postData: JSON.stringify({ query: '{ status { snapshot } }' }) });
    const { extensions } = await response.json();
    return route.fulfill({ response, json: { data: { provenance: answer }, extensions } });
  });
  await page.goto('about:blank');
  // The first agent calls all others, so every node is within the hops that the map keeps.
  await page.goto(`${origin}/#/map/${answer.focus}?up=6&down=6`);
  await page.locator(`${MAP}[data-ready="true"]`).waitFor({ timeout: 60_000 });
  await page.locator('tr[aria-current="true"]').waitFor({ timeout: 60_000 });
}

export async function large() {
  await check('a graph of 20,000 nodes is drawn, selected in and hidden from', async () => {
    await opened(NODES);
    const first = Number((await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, ''));
    await page.locator('tr[data-node] button').nth(5).click();
    await page.waitForURL(/select=/);
    const lit = Number(await attribute(MAP, 'data-lit-nodes'));
    await page.getByRole('slider', { name: 'Hide the least important' }).fill('90');
    await page.waitForURL(/least=90/);
    const fewer = Number((await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, ''));
    return unless(first === NODES && lit > 1 && fewer > 1 && fewer < first / 5, `${first} nodes, ${lit} lit, then ${fewer}`);
  });
  await shoot('map-large');
  await check('a large picture is dragged, and what was under the hand stays there', async () => {
    await page.unroute(`${origin}/graphql`);
    await opened(NODES_LEAST);
    const whole = await page.locator(MAP).screenshot();
    const { frames } = await dragged(1);
    const [x, y] = await onANode();
    await page.mouse.down();
    await page.mouse.move(x + 40, y + 25, { steps: 4 });
    await page.mouse.up();
    const moved = await page.locator(MAP).screenshot();
    const cursor = await attribute(`${MAP} canvas`, 'data-cursor');
    const before = await attribute('tr[aria-current="true"]', 'data-node');
    await page.mouse.click(x + 40, y + 25);
    await page.waitForURL(/select=/);
    await page.waitForFunction((node) => document.querySelector('tr[aria-current="true"]')?.dataset.node !== node, before);
    return unless(frames > 0 && cursor === 'pointer' && !whole.equals(moved), `${frames} frames, the cursor is a ${cursor}`);
  });
  await page.unroute(`${origin}/graphql`);
}

/** Moves the mouse over the middle of the map until it points at a node. */
async function onANode() {
  const box = await page.locator(MAP).boundingBox();
  const y = box.y + box.height / 2;
  for (let x = box.x + 20; x < box.x + box.width; x += 3) {
    await page.mouse.move(x, y);
    if ((await attribute(`${MAP} canvas`, 'data-cursor')) === 'pointer') return [x, y];
  }
  throw new Error('no node lies across the middle of the map');
}

/** Drags the picture about for so many seconds at least; how many frames were drawn meanwhile. */
export async function dragged(least) {
  const box = await page.locator(MAP).boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const drawn = () =>
    page.evaluate(() => {
      const count = () => {
        globalThis.framesDrawn += 1;
        requestAnimationFrame(count);
      };
      if (globalThis.framesDrawn === undefined) {
        globalThis.framesDrawn = 0;
        requestAnimationFrame(count);
      }
      return globalThis.framesDrawn;
    });
  await page.mouse.move(x, y);
  await page.mouse.down();
  const [before, began] = [await drawn(), Date.now()];
  for (let i = 0; Date.now() - began < least * 1000; i += 1) {
    await page.mouse.move(x + 120 * Math.sin(i / 9), y + 80 * Math.cos(i / 7));
  }
  const frames = (await drawn()) - before;
  const seconds = (Date.now() - began) / 1000;
  await page.mouse.up();
  return { frames, seconds };
}
