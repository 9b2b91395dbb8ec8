// Drives the dashboard of a running server in headless Chromium.
//
//   node tests/browser/dashboard.mjs http://127.0.0.1:8080 [FOLDER FOR SCREENSHOTS]
//
// Prints a line per failure and `N passed, N failed`; exits 1 when something failed. Every id and account is found
// through the pages and their own answers: nothing about the world behind the server is known here. CHROMIUM names
// another browser than /usr/bin/chromium, TESTS_SCREENSHOTS the folder where none is given.

import { answers, attribute, base, check, finish, origin, page, part, settled, shoot, text, unless } from './harness.mjs';
import { graphiql } from './graphiql.mjs';
import { keyboard } from './keyboard.mjs';
import { large } from './large.mjs';
import { bothThemes, pages } from './pages.mjs';

const MAP = '[role="application"]';
const lit = async () => ({
  nodes: Number(await attribute(MAP, 'data-lit-nodes')),
  edges: Number(await attribute(MAP, 'data-lit-edges')),
  widest: Number(await attribute(MAP, 'data-widest')),
});

// What stops a part in the middle is one more failure, and the next part is still walked.
// Where not even the overview loads, the rest would only wait for nothing.
await part('overview', overview);
if ((await page.locator('main h1').count()) > 0) {
  await part('map', provenanceMap);
  await part('account statement', accountStatement);
  await part('theme', theme);
  await part('pages of every kind', pages);
  await part('keyboard', keyboard);
  await part('large graph', large);
  await part('GraphiQL', graphiql);
  await part('accessibility in both themes', bothThemes);
}

await finish();

async function overview() {
  await check('the overview loads', async () => {
    await page.goto(`${base.replace(/\/$/, '')}/`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.getByRole('heading', { name: 'Recent epochs' }).waitFor();
  });
  await check('the overview shows what the server answered', async () => {
    const status = answers.find((answer) => answer?.data?.status)?.data.status;
    const digits = (await text('.heads .strong dd')).replace(/\D/g, '');
    return unless(status && digits === String(status.sealed.number), `sealed ${digits}, not ${status?.sealed.number}`);
  });
  await check('revenue = credited + held for every token', async () => {
    const chips = await page.locator('.total .chip').allInnerTexts();
    return unless(chips.length > 0 && chips.every((chip) => chip.startsWith('✓')), `chips: ${chips.join(', ')}`);
  });
  await check('epochs with roots and accounts with links are listed', async () => {
    const roots = await page.locator('section:has(#epochs) code').count();
    const links = await page.locator('.top tbody a[href^="#/account/0x"]').count();
    return unless(roots > 0 && links > 0, `${roots} roots, ${links} links`);
  });
  await shoot('overview');
}

async function provenanceMap() {
  await check('the map opens from the navigation at a node', async () => {
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Map' }).click();
    await page.locator('tr[aria-current="true"]').waitFor();
    await page.locator(`${MAP}[data-ready="true"]`).waitFor();
    return unless(/#\/map\/.+/.test(page.url()), page.url());
  });
  await check('the whole ancestry can be asked for by depth', async () => {
    const before = await page.locator('[data-node]').count();
    await page.getByLabel('Hops upstream').selectOption('6');
    await page.waitForFunction((count) => document.querySelectorAll('[data-node]').length >= count, before);
    await page.waitForURL(/up=6/);
    await settled();
    const after = await page.locator('[data-node]').count();
    return unless(after >= before && after > 1, `${before} nodes, then ${after}`);
  });
  await check('the picture is painted', async () => {
    const frame = await page.locator(MAP).screenshot();
    return unless(frame.length > 4_000, `an image of ${frame.length} bytes is blank`);
  });
  const expected = await ancestryByAnswer();
  await check('selecting a row lights exactly its ancestry', async () => {
    await page.locator(`[data-node="${expected.id}"] button`).click();
    await page.locator(`tr[aria-current="true"][data-node="${expected.id}"]`).waitFor();
    const now = await lit();
    const rows = await page.locator('tr[data-node].lit').count();
    return unless(
      now.nodes === expected.nodes.size && rows === expected.nodes.size && now.edges === expected.edges,
      `lit ${now.nodes} nodes (${rows} rows), ${now.edges} edges; expected ${expected.nodes.size} and ${expected.edges}`,
    );
  });
  await check('money is the width of what is lit', async () => {
    const { widest } = await lit();
    return unless(expected.money ? widest > 10 : widest > 0, `the widest lit edge is ${widest} px`);
  });
  await shoot('map');
  await check('the drawing changes with the selection', async () => {
    const before = await page.locator(MAP).screenshot();
    const leaf = await page.locator('tr[data-node]').last().getAttribute('data-node');
    await page.locator(`[data-node="${leaf}"] button`).click();
    await page.locator(`tr[aria-current="true"][data-node="${leaf}"]`).waitFor();
    await page.waitForTimeout(300);
    const after = await page.locator(MAP).screenshot();
    return unless(!before.equals(after), 'the same image before and after');
  });
  await check('the arrow keys walk the map, and the table follows', async () => {
    await page.locator(`[data-node="${expected.id}"] button`).click();
    await page.locator(MAP).focus();
    await page.keyboard.press('ArrowLeft');
    await page.waitForFunction((id) => document.querySelector('tr[aria-current="true"]')?.dataset.node !== id, expected.id);
    const now = await attribute('tr[aria-current="true"]', 'data-node');
    return unless(expected.nodes.has(now), `${now} is not upstream of ${expected.id}`);
  });
  await check('the search finds a node by its name', async () => {
    const name = await text('tr[data-node] .plain span');
    await page.getByRole('combobox', { name: /Find an agent/ }).fill(name.split(' ').at(-2) ?? name);
    const options = await page.getByRole('option').count();
    await page.keyboard.press('Escape');
    await page.getByRole('combobox', { name: /Find an agent/ }).fill('');
    return unless(options > 0, `nothing found for ${name}`);
  });
  await check('a deep link selects the same node', async () => {
    const link = page.url();
    const before = await attribute('tr[aria-current="true"]', 'data-node');
    await page.goto('about:blank');
    await page.goto(link);
    await page.locator('tr[aria-current="true"]').waitFor();
    const after = await attribute('tr[aria-current="true"]', 'data-node');
    return unless(before === after, `${before} became ${after}`);
  });
  await check('expanding adds what was hidden', async () => {
    await page.getByLabel('Hops upstream').selectOption('1');
    await settled();
    const hidden = page.getByRole('button', { name: /Expand, \d/ });
    const rows = page.locator('tr[data-node]');
    for (let i = 0; i < Math.min(await rows.count(), 12) && (await hidden.count()) === 0; i += 1) {
      await rows.nth(i).getByRole('button').click();
    }
    if ((await hidden.count()) === 0) return null;
    const before = await rows.count();
    await hidden.click();
    await page.waitForFunction((count) => document.querySelectorAll('tr[data-node]').length > count, before);
    return null;
  });
}

/** The most connected made thing of the last provenance answer, and its ancestry walked independently of the page. */
async function ancestryByAnswer() {
  const graph = answers.filter((answer) => answer?.data?.provenance).at(-1)?.data.provenance;
  if (!graph) throw new Error('no provenance was answered');
  const shown = new Set(
    await page.locator('[data-node]').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-node'))),
  );
  const edges = graph.edges.filter((edge) => shown.has(edge.source) && shown.has(edge.target));
  const walk = (id) => {
    const nodes = new Set([id]);
    for (const queue = [id]; queue.length > 0; ) {
      const here = queue.pop();
      for (const edge of edges.filter((one) => one.target === here && !nodes.has(one.source))) {
        nodes.add(edge.source);
        queue.push(edge.source);
      }
    }
    const used = edges.filter((edge) => nodes.has(edge.target));
    return { id, nodes, edges: used.length, money: used.some((edge) => edge.money.length > 0) };
  };
  // Not the focus, which is selected from the start: something else that was made from something.
  const others = [...shown].filter((id) => id !== graph.focus).map(walk);
  const [most] = others.toSorted((a, b) => b.nodes.size - a.nodes.size || (a.id < b.id ? -1 : 1));
  if (!most) throw new Error('the map holds nothing but its focus');
  return most;
}

async function accountStatement() {
  await check('accounts are listed and one opens', async () => {
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Accounts' }).click();
    await page.locator('tbody a[href^="#/account/0x"]').first().waitFor();
    const links = await page.locator('tbody a[href^="#/account/0x"]').evaluateAll((all) => all.map((one) => one.href));
    // The first that has a leaf on the tree: who earned less than the least payout has none yet.
    for (const link of links.slice(0, 20)) {
      await page.goto(link);
      await page.getByRole('heading', { name: 'Earnings' }).waitFor();
      if ((await page.locator('[data-verdict]').count()) > 0) return null;
    }
    return `none of the first ${Math.min(links.length, 20)} accounts has a proof`;
  });
  await check('the proof verifies in the browser', async () => {
    await page.locator('[data-verdict]').first().waitFor();
    const verdict = await text('[data-verdict]');
    return unless((await attribute('[data-verdict]', 'data-verdict')) === 'valid' && verdict.includes('verifies'), verdict);
  });
  await check('the lines of the explanation add up', async () => {
    await page.locator('[data-check]').first().waitFor();
    return unless((await attribute('[data-check]', 'data-check')) === 'equal', await text('tfoot'));
  });
  await check('earnings add up under every grouping', async () => {
    const totals = [];
    for (const group of ['Role', 'Dataset', 'Model', 'Agent', 'Epoch']) {
      await page.getByRole('group', { name: 'Group earnings by' }).getByRole('button', { name: group }).click();
      await page.locator('section:has(#earnings)').getByRole('columnheader', { name: group, exact: true }).waitFor();
      await settled();
      await page.locator('section:has(#earnings) table[aria-busy="false"]').waitFor();
      totals.push(await text('section:has(#earnings) tfoot td'));
    }
    return unless(new Set(totals).size === 1, totals.join(' / '));
  });
  await shoot('account');
  const field = page.getByLabel(/Cumulative amount/).first();
  const right = await field.inputValue().catch(() => '');
  await check('a tampered amount fails the proof', async () => {
    await field.fill((BigInt(right) + 1n).toString());
    await page.locator('[data-verdict="invalid"]').first().waitFor();
    return unless((await text('[data-verdict]')).includes('fails'), await text('[data-verdict]'));
  });
  await check('nonsense in the amount is refused with words', async () => {
    await field.fill('12.5');
    return unless((await text('[data-verdict]')).includes('whole number'), await text('[data-verdict]'));
  });
  await shoot('account-tampered');
  await check('the true amount verifies again', async () => {
    await page.getByRole('button', { name: 'Restore' }).first().click();
    await page.locator('[data-verdict="valid"]').first().waitFor();
    return unless((await field.inputValue()) === right, await field.inputValue());
  });
  await check('the explanation downloads as CSV', async () => {
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('section:has(#why)').getByRole('button', { name: 'CSV', exact: true }).click(),
    ]);
    return unless(file.suggestedFilename().endsWith('.csv'), file.suggestedFilename());
  });
  await check('an impossible address is answered with words', async () => {
    await page.goto(`${origin}/#/account/0x12`);
    await page.getByRole('alert').waitFor();
    return unless((await text('[role="alert"]')).includes('not an address'), await text('[role="alert"]'));
  });
}

async function theme() {
  await check('the theme can be changed and is kept', async () => {
    await page.goto(`${origin}/#/`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await ground();
    await page.getByRole('button', { name: /Use the (dark|light) theme/ }).click();
    const after = await ground();
    await page.reload();
    await page.getByRole('heading', { name: 'Recent epochs' }).waitFor();
    return unless(before !== after && (await ground()) === after, `${before}, ${after}, ${await ground()}`);
  });
  await shoot('overview-other-theme');
}
