// The README's first section, as somebody new would follow it: an account in the dashboard, why it earned, its proof; then
// the same question in GraphQL and in DuckDB, by the README's own commands, word for word. All must say the same.
//
//   PROGRAM=target/release/tributary DATA=FOLDER node tests/browser/newcomer.mjs http://127.0.0.1:8080
//
// TESTS_PYTHON is a Python with the package duckdb.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { answers, attribute, check, finish, origin, page, part, settled, shoot, text, unless } from './harness.mjs';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const { PROGRAM: program, DATA: data, TESTS_PYTHON: python = 'python3' } = process.env;

let account = '';
await part('dashboard, as the README has it', inTheDashboard);
if (account !== '') await part('commands of the README', byCommands);
await finish();

async function inTheDashboard() {
  await page.goto(origin);
  await check('an account that has a proof is found under Accounts', async () => {
    const menu = page.getByRole('navigation', { name: 'Pages' });
    await menu.getByRole('link', { name: 'Accounts', exact: true }).click();
    const links = page.locator('section:has(#accounts) tbody th a');
    await links.first().waitFor();
    for (let at = 0; at < Math.min(await links.count(), 20); at += 1) {
      await links.nth(at).click();
      await page.locator('[data-drill]').first().waitFor();
      await settled();
      if ((await page.locator('[data-verdict]').count()) > 0) {
        account = /#\/account\/(0x[0-9a-fA-F]{40})/.exec(page.url())[1];
        return null;
      }
      await menu.getByRole('link', { name: 'Accounts', exact: true }).click();
      await links.first().waitFor();
    }
    return 'none of the first twenty accounts has one';
  });
  await check('under Why a line opens down to a payment, its block and its blob, and every level adds up', async () => {
    const closed = page.locator('[data-drill][aria-expanded="false"]');
    const found = page.locator('tr[data-kind="payment"]');
    for (let depth = 0; depth < 12 && (await found.count()) === 0; depth += 1) {
      await closed.last().click();
      await settled();
      await page.locator('tr[data-kind="note"]', { hasText: 'Reading' }).first().waitFor({ state: 'detached' });
    }
    await found.first().waitFor();
    const links = await page.locator('section:has(#why) tr[data-kind] a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    const levels = await attribute('[data-levels]', 'data-levels');
    return unless(levels === 'equal' && links.some((one) => one.startsWith('#/block/')), `${levels}: ${links.join(' ')}`);
  });
  await check('the proof verifies, and with another digit it fails', async () => {
    const field = page.getByLabel(/Cumulative amount/).first();
    const right = await field.inputValue();
    const before = await attribute('[data-verdict]', 'data-verdict');
    await field.fill(right.slice(0, -1) + String((Number(right.at(-1)) + 1) % 10));
    await page.locator('[data-verdict="invalid"]').first().waitFor();
    await page.getByRole('button', { name: 'Restore' }).first().click();
    await page.locator('[data-verdict="valid"]').first().waitFor();
    return unless(before === 'valid', `it was ${before}`);
  });
  await shoot('newcomer');
}

async function byCommands() {
  let roles = [];
  await check('GraphQL gives what the account page shows', async () => {
    const answer = JSON.parse(await run(block('URL=...')));
    roles = answer.data.account.earnings.map(({ key, amount }) => [key, amount.token.toLowerCase(), amount.raw]);
    const shown = answers.findLast((one) => one?.data?.account?.entitlements)?.data.account.entitlements;
    const wrong = shown.filter(({ token, cumulative }) => sum(roles, token) !== BigInt(cumulative.raw));
    return unless(shown.length > 0 && wrong.length === 0, `${JSON.stringify(roles)} is not ${JSON.stringify(wrong)}`);
  });
  await check('DuckDB gives the same, to the base unit', async () => {
    const rows = await run(block('tributary sql     --data-dir $DATA --duckdb'));
    const missing = roles.filter((role) => !rows.includes(`(${role.map((cell) => `'${cell}'`).join(', ')})`));
    return unless(roles.length > 0 && missing.length === 0, `${JSON.stringify(missing)} is not in ${rows}`);
  });
}

function sum(roles, token) {
  return roles.filter(([, of]) => of === token.toLowerCase()).reduce((total, [, , raw]) => total + BigInt(raw), 0n);
}

/** The README's block of commands that begins so, without the lines in which somebody fills something in. */
function block(begins) {
  const blocks = README.split('```sh\n').slice(1).map((rest) => rest.split('```')[0]);
  const found = blocks.find((one) => one.startsWith(begins));
  if (found === undefined) throw new Error(`the README has no commands that begin with ${begins}`);
  return found.split('\n').filter((line) => !line.includes('=...') && !line.includes('=0x...')).join('\n');
}

/** What a script says; a folder of its own is where it writes. */
async function run(script) {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-newcomer-'));
  const path = `${dirname(python)}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path, URL: origin, ACCOUNT: account, DATA: data, PROGRAM: program };
  const named = 'set -euo pipefail\ntributary() { "$PROGRAM" "$@"; }\n';
  try {
    const child = spawn('bash', ['-c', named + script], { cwd: folder, env });
    let [said, complained] = ['', ''];
    child.stdout.on('data', (bytes) => (said += bytes));
    child.stderr.on('data', (bytes) => (complained += bytes));
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) throw new Error(`${script}\nended with ${code}: ${complained}`);
    return said;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
