// A graph of 20,000 nodes: the page gets it in place of the server's answer to its own question and must stay usable.
// Frames are for a person to count (`node large.mjs` prints them); here only what the page says is checked.

import { pathToFileURL } from 'node:url';

import { attribute, check, finish, origin, page, shoot, unless } from './harness.mjs';

const DATASETS = 3_000;
const MODELS = 2_000;
const CONTRIBUTORS = 14_900;
const AGENTS = 100;
export const NODES = DATASETS + MODELS + CONTRIBUTORS + AGENTS;
const TOKEN = `0x${'00'.repeat(20)}`;

const id = (kind, number) => `0x${kind}${number.toString(16).padStart(kind === 'c0' ? 38 : 62, '0')}`;
const money = (raw) => ({ raw: String(raw), token: TOKEN, symbol: 'OPEN', decimals: 18 });

/** As the api lays it out: contributors, datasets, models, agents, in columns of a hundred. */
function graph() {
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
  put('account', 'c0', CONTRIBUTORS, 0);
  put('dataset', 'da', DATASETS, 1);
  put('model', 'de', MODELS, 2);
  put('agent', 'ae', AGENTS, 3);
  const join = (relation, source, target) =>
    edges.push({ id: `${relation}:${source}:${target}`, source, target, relation, sharePpb: null, contributions: null, money: [money(10n ** 12n)] });
  for (let i = 0; i < CONTRIBUTORS; i += 1) join('CONTRIBUTED_BY', id('c0', i), id('da', (i * 31) % DATASETS));
  for (let i = 0; i < DATASETS; i += 1) join('TRAINED_ON', id('da', i), id('de', (i * 17) % MODELS));
  for (let i = 0; i < MODELS; i += 1) join('USES_MODEL', id('de', i), id('ae', i % AGENTS));
  for (let i = 1; i < AGENTS; i += 1) join('CALLS_AGENT', id('ae', i), id('ae', 0));
  return { focus: id('ae', 0), nodes, edges, leftOut: [] };
}

/** Answers the page's question about the graph with ours; every other question goes to the server. */
async function opened() {
  const answer = graph();
  await page.route(`${origin}/graphql`, async (route) => {
    if (!(route.request().postData() ?? '').includes('query Provenance')) return route.fallback();
    const response = await route.fetch({ postData: JSON.stringify({ query: '{ status { snapshot } }' }) });
    const { extensions } = await response.json();
    return route.fulfill({ response, json: { data: { provenance: answer }, extensions } });
  });
  await page.goto('about:blank');
  // The first agent calls all others, so every node is within the hops that the map keeps.
  await page.goto(`${origin}/#/map/${answer.focus}?up=6&down=6`);
  await page.locator('[role="application"][data-ready="true"]').waitFor({ timeout: 60_000 });
  await page.locator('tr[aria-current="true"]').waitFor({ timeout: 60_000 });
}

export async function large() {
  await check('a graph of 20,000 nodes is drawn, selected in and hidden from', async () => {
    await opened();
    const first = Number((await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, ''));
    await page.locator('tr[data-node] button').nth(5).click();
    await page.waitForURL(/select=/);
    const lit = Number(await attribute('[role="application"]', 'data-lit-nodes'));
    await page.getByRole('slider', { name: 'Hide the least important' }).fill('90');
    await page.waitForURL(/least=90/);
    const fewer = Number((await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, ''));
    return unless(first === NODES && lit > 1 && fewer > 1 && fewer < first / 5, `${first} nodes, ${lit} lit, then ${fewer}`);
  });
  await shoot('map-large');
  await page.unroute(`${origin}/graphql`);
}

/** Frames a second while the picture is dragged for some seconds. */
async function pan(seconds) {
  const box = await page.locator('[role="application"]').boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.evaluate(() => {
    globalThis.frames20k = 0;
    const count = () => {
      globalThis.frames20k += 1;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
  });
  await page.mouse.move(x, y);
  await page.mouse.down();
  const began = Date.now();
  for (let i = 0; Date.now() - began < seconds * 1000; i += 1) {
    await page.mouse.move(x + 120 * Math.sin(i / 9), y + 80 * Math.cos(i / 7));
  }
  await page.mouse.up();
  const frames = await page.evaluate(() => globalThis.frames20k);
  return (frames * 1000) / (Date.now() - began);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await opened();
  const shown = (await page.getByRole('button', { name: /^Nodes/ }).innerText()).replace(/\D/g, '');
  console.log(`${shown} nodes: ${(await pan(5)).toFixed(1)} frames a second while panning`);
  await finish();
}
