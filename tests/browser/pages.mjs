// The pages beside map and statement, by mouse; and every page in both themes, judged and photographed.

import { answers, attribute, check, inaccessible, origin, page, settled, shoot, text, unless, visit } from './harness.mjs';

const menu = (name) => page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true });
const rows = (id) => page.locator(`section:has(#${id}) tbody tr:has(th)`);

/** Waits for a table of the house to be filled. */
async function filled(id) {
  await rows(id).first().waitFor();
  await settled();
}

async function saved(id) {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.locator(`section:has(#${id})`).getByRole('button', { name: /CSV$/ }).first().click(),
  ]);
  const chunks = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8').trimEnd().split('\r\n');
}

export async function pages() {
  await epochs();
  await entities();
  await blobs();
  await blocks();
  await drill();
  await proofs();
  await status();
  await shortVault();
  await check('an unknown page says so and leads back', async () => {
    await visit('#/nowhere');
    await page.getByRole('link', { name: 'Go to the overview.' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    return null;
  });
}

async function epochs() {
  await visit('#/');
  await check('epochs are listed, conserve money, and save as CSV', async () => {
    await menu('Epochs').click();
    await filled('conservation');
    const chips = await page.locator('[data-conserved]').evaluateAll((all) => all.map((one) => one.dataset.conserved));
    const lines = await saved('conservation');
    return unless(
      chips.length > 0 && chips.every((one) => one === 'true') && lines.length === chips.length + 1,
      `${chips.join()} and ${lines.length} lines`,
    );
  });
  await check('a river is drawn whose ends carry the same money', async () => {
    // The epoch with most payments: its link stands in the row.
    const most = answers
      .flatMap((answer) => answer?.data?.epochs?.edges ?? [])
      .map(({ node }) => node)
      .filter((node) => Array.isArray(node.tokens) && node.tokens.length > 0)
      .toSorted((a, b) => paymentsOf(b) - paymentsOf(a))[0];
    await page.locator(`section:has(#conservation) th a[href^="#/epoch/${most.number}?"], section:has(#conservation) th a[href="#/epoch/${most.number}"]`).first().click();
    await page.locator('[data-river]').waitFor();
    await page.locator('svg [data-stop]').first().waitFor();
    return unless((await attribute('[data-river]', 'data-river')) === 'balanced', await text('#river-says'));
  });
  await check('the table of the river says what the picture says', async () => {
    const streams = await page.locator('section:has(#river) .frame path').count();
    const lines = await saved('movements');
    return unless(streams > 0 && lines.length === streams + 1, `${streams} streams, ${lines.length} lines`);
  });
  await check('what is gathered opens by its link, and gathers again', async () => {
    const more = page.locator('svg a[href*="all="]').first();
    if ((await more.count()) === 0) return null;
    const streams = () => page.locator('section:has(#river) .frame path').count();
    const before = await streams();
    await more.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Gather again' }).waitFor();
    const opened = await streams();
    await page.getByRole('link', { name: 'Gather again' }).click();
    await page.getByRole('link', { name: 'Gather again' }).waitFor({ state: 'detached' });
    const after = await streams();
    return unless(opened > before && after === before, `${before} streams, then ${opened}, then ${after}`);
  });
  await check('a stop of the river leads to what it is', async () => {
    await page.locator('svg a[href^="#/account/"] rect').first().click({ force: true });
    await page.getByRole('heading', { name: 'Account statement' }).waitFor();
    return null;
  });
  await check('an epoch that has not settled is answered with words', async () => {
    await visit('#/epoch/999999');
    return unless((await text('.note')).includes('has not settled'), await text('.note'));
  });
}

const paymentsOf = (node) => node.tokens.reduce((sum, token) => sum + token.payments, 0);

async function entities() {
  for (const [name, kind] of [['Datasets', 'dataset'], ['Models', 'model'], ['Agents', 'agent']]) {
    await check(`${kind}s are listed, found by name, and one opens with its versions`, async () => {
      await menu(name).click();
      await page.getByRole('heading', { name, exact: true }).waitFor();
      await filled(`${kind}s`);
      const all = await rows(`${kind}s`).count();
      const first = (await rows(`${kind}s`).first().locator('th').innerText()).trim();
      await page.getByRole('searchbox', { name: new RegExp(`Filter ${kind}s`) }).fill(first);
      const some = await rows(`${kind}s`).count();
      await rows(`${kind}s`).first().locator('th a').click();
      await page.getByRole('heading', { name: first, exact: true }).waitFor();
      await filled('versions');
      return unless(some >= 1 && some <= all, `${some} of ${all} rows match ${first}`);
    });
  }
  await check('a dataset lists its contributions, and a version leads to the map', async () => {
    await menu('Datasets').click();
    await filled('datasets');
    await rows('datasets').first().locator('th a').click();
    await filled('contributions');
    await page.locator('section:has(#versions) th a').first().click();
    await page.locator('tr[aria-current="true"]').waitFor();
    return null;
  });
  await check('the model page names what a version was made from', async () => {
    await menu('Models').click();
    await filled('models');
    await rows('models').first().locator('th a').click();
    await page.locator('section:has(#versions) td a[href^="#/dataset/"]').first().click();
    await page.locator('h1 .k-dataset').waitFor();
    return null;
  });
  await check('what is not registered is answered with words', async () => {
    await visit(`#/model/0x${'00'.repeat(32)}`);
    return unless((await text('.note')).includes('No model has the id'), await text('.note'));
  });
}

async function blobs() {
  await check('blobs are listed by status and one opens with its ladder', async () => {
    await menu('Blobs').click();
    await filled('blobs');
    await page.getByRole('combobox', { name: 'Status' }).selectOption('VERIFIED');
    await page.waitForURL(/status=verified/);
    await filled('blobs');
    const states = await page.locator('section:has(#blobs) tbody .chip').allInnerTexts();
    const certificate = rows('blobs').filter({ hasText: 'certificate' }).first();
    await certificate.locator('th a').click();
    await page.getByRole('heading', { name: 'How far it was verified' }).waitFor();
    const reached = await page.locator('.ladders .chip.good').count();
    return unless(
      states.length > 0 && states.every((one) => one === 'verified') && reached >= 3,
      `${new Set(states).size} states, ${reached} rungs`,
    );
  });
  await check('nonsense for a hash is answered with words', async () => {
    await visit('#/blob/0x12');
    return unless((await text('[role="alert"]')).includes('not a hash'), await text('[role="alert"]'));
  });
}

async function blocks() {
  await check('a block says what carries it on L1', async () => {
    await menu('Blocks').click();
    await page.getByLabel('Number of a block').fill('20');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByRole('heading', { name: 'Block 20' }).waitFor();
    await filled('postings');
    return null;
  });
}

/** The account and epoch whose explanation goes deepest: found by asking as the pages do. */
async function deepest() {
  const ask = (query) =>
    page.evaluate(
      (text) =>
        fetch('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: text }) }).then(
          (response) => response.json(),
        ),
      query,
    );
  const found = await ask('{ accounts(first: 20, orderBy: EARNED) { edges { node { address earnings(groupBy: EPOCH) { key amount { raw token } } } } } }');
  for (const { node } of found.data.accounts.edges) {
    for (const { key, amount } of node.earnings) {
      const why = await ask(
        `{ account(address: "${node.address}") { explanation(epoch: ${key}, token: "${amount.token}") { lines { role } } } }`,
      );
      const lines = why.data.account.explanation?.lines ?? [];
      if (lines.filter((line) => line.role === 'data').length > 1) return `#/account/${node.address}?epoch=${key}&token=${amount.token}`;
    }
  }
  throw new Error('no account of the first twenty has an explanation with two lines of data');
}

async function drill() {
  await visit('#/');
  const at = await deepest();
  const closed = page.locator('[data-drill][aria-expanded="false"]');
  const kind = (name) => page.locator(`tr[data-kind="${name}"]`);
  await check('an explanation is taken apart down to payments and records', async () => {
    await visit(at);
    await page.locator('[data-drill="data"]').click();
    for (let depth = 0; depth < 8 && (await kind('inference').count()) === 0; depth += 1) {
      await page.locator('[data-drill^="data/"][aria-expanded="false"]').last().click();
      await page.waitForFunction(() => document.querySelector('tr[data-kind="note"]') === null);
    }
    await kind('inference').locator('button').first().click();
    await kind('payment').first().waitFor();
    await kind('record').first().waitFor();
    return unless((await closed.count()) > 0, 'everything is open');
  });
  await check('every level adds up to the one above', async () =>
    unless((await attribute('[data-levels]', 'data-levels')) === 'equal', await text('[data-levels]')),
  );
  await check('an inference names its block and its blob', async () => {
    const links = await kind('inference').first().locator('a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    return unless(links.some((one) => one.startsWith('#/block/')) && links.some((one) => one.startsWith('#/blob/0x')), links.join(' '));
  });
  await check('the drill-down has a link of its own', async () => {
    const link = page.url();
    const before = await page.locator('[data-drill][aria-expanded="true"]').count();
    await page.goto('about:blank');
    await page.goto(link);
    await kind('payment').first().waitFor();
    const after = await page.locator('[data-drill][aria-expanded="true"]').count();
    return unless(after === before, `${before} open, then ${after}`);
  });
  await shoot('drill');
}

async function proofs() {
  let link = '';
  await check('the proofs of an account verify on their own page', async () => {
    await visit('#/account');
    await filled('accounts');
    const address = (await rows('accounts').first().locator('th').innerText()).trim();
    await menu('Proofs').click();
    await page.getByRole('searchbox', { name: 'Account' }).fill(address);
    await page.getByRole('button', { name: 'Show its proofs' }).click();
    await page.locator('[data-verdict="valid"]').first().waitFor();
    const proof = answers.flatMap((answer) => answer?.data?.account?.entitlements ?? []).findLast((one) => one.proof)?.proof;
    const data = Buffer.from(JSON.stringify(proof)).toString('base64url');
    link = `#/proof?data=${data}`;
    return null;
  });
  await check('a shared link holds the whole proof, and its root is the one settled here', async () => {
    await visit(link);
    await page.locator('[data-verdict="valid"]').waitFor();
    await page.locator('[data-root="same"]').waitFor();
    return null;
  });
  await check('a link that was cut off is refused with words', async () => {
    await visit(link.slice(0, -40));
    return unless((await text('[role="alert"]')).includes('cannot be read'), await text('[role="alert"]'));
  });
  await check('a proof with another root fails and is told from ours', async () => {
    await visit('#/proof');
    const proof = JSON.parse(Buffer.from(new URLSearchParams(link.split('?')[1]).get('data'), 'base64url').toString());
    await page.getByLabel('or text').fill(JSON.stringify([{ ...proof, root: `0x${'11'.repeat(32)}` }]));
    await page.locator('[data-verdict="invalid"]').waitFor();
    await page.locator('[data-root="other"]').waitFor();
    return null;
  });
}

async function status() {
  await check('the status page shows heads, invariants, and that all is well', async () => {
    await menu('Status').click();
    await filled('heads');
    const broken = await page.locator('section:has(#invariants) tbody .chip.bad').count();
    return unless((await attribute('[data-health]', 'data-health')) === 'good' && broken === 0, await text('[data-health]'));
  });
}

/** The server's own answers, as they would be if a vault held less than it owes: no demo ends so. */
async function shortVault() {
  const vault = `0x${'5a'.repeat(20)}`;
  const token = `0x${'00'.repeat(20)}`;
  const amount = (whole) => ({ raw: `${whole}${'0'.repeat(18)}`, token, symbol: 'OPEN', decimals: 18 });
  const unfunded = { vault, token, sinceEpoch: 3, owed: amount(70), held: amount(58), waiting: amount(12) };
  const pending = { kind: 'UNFUNDED', reason: 'unfunded', untilBlock: null, sinceEpoch: 2, vault, amount: amount(4) };
  await visit('#/account');
  const account = await page.locator('section:has(#accounts) th a').first().getAttribute('href');
  await page.route('**/graphql', async (route) => {
    const response = await route.fetch();
    const { data, ...rest } = await response.json();
    if (data?.status?.unfunded) data.status.unfunded = [unfunded];
    if (data?.account?.pending) data.account.pending = [pending];
    await route.fulfill({ response, json: { data, ...rest } });
  });
  const expected = {
    '#/': ['12 OPEN', 'waits for money in the vault', '0x5a5a…5a5a', 'since epoch 3', 'owes 70 OPEN', 'holds 58 OPEN'],
    '#/status': ['12 OPEN', 'waits for money in the vault', '0x5a5a…5a5a', 'since epoch 3', 'owes 70 OPEN', 'holds 58 OPEN'],
    [account]: ['4 OPEN', 'earned and waits for money in the vault', '0x5a5a…5a5a', 'since epoch 2', 'this can be claimed'],
  };
  for (const [view, words] of Object.entries(expected)) {
    await check(`what waits for a vault is said on ${view}`, async () => {
      await visit(view);
      const note = page.locator(view === account ? '[data-waits="UNFUNDED"]' : '[data-unfunded]');
      await note.waitFor();
      const said = (await note.innerText()).replace(/\s+/g, ' ');
      const missing = words.filter((word) => !said.includes(word));
      return unless(missing.length === 0, `${missing.join(', ')} in ${said}`) ?? (await inaccessible());
    });
  }
  await shoot('unfunded');
  await page.unroute('**/graphql');
}

/** A view of every kind, by what the lists link to. */
async function everyView() {
  const first = async (list, selector) => {
    await visit(list);
    await page.locator(selector).first().waitFor();
    return page.locator(selector).first().getAttribute('href');
  };
  return [
    ['overview', '#/'],
    ['map', '#/map'],
    ['accounts', '#/account'],
    ['account', await first('#/account', 'section:has(#accounts) th a')],
    ['epochs', '#/epoch'],
    ['epoch', await first('#/epoch', 'section:has(#conservation) tr:last-child th a')],
    ['datasets', '#/dataset'],
    ['dataset', await first('#/dataset', 'section:has(#datasets) th a')],
    ['models', '#/model'],
    ['model', await first('#/model', 'section:has(#models) th a')],
    ['agents', '#/agent'],
    ['agent', await first('#/agent', 'section:has(#agents) th a')],
    ['blobs', '#/blob'],
    ['blob', await first('#/blob', 'section:has(#blobs) th a')],
    ['block', '#/block/20'],
    ['proof', '#/proof'],
    ['status', '#/status'],
    ['nowhere', '#/nowhere'],
  ];
}

/** Every page in both themes: nothing for axe-core to find, and a picture of it. */
export async function bothThemes() {
  const views = await everyView();
  for (const theme of ['light', 'dark']) {
    await page.evaluate((name) => localStorage.setItem('tributary-theme', name), theme);
    for (const [name, path] of views) {
      await visit(path);
      await check(`${name} in the ${theme} theme is accessible`, async () => {
        const now = await page.evaluate(() => document.documentElement.dataset.theme);
        return now === theme ? inaccessible() : `the theme is ${now}`;
      });
      await shoot(`${theme}-${name}`);
    }
  }
  await check('nothing was asked of anyone but the server', () => unless(page.url().startsWith(origin), page.url()));
}
