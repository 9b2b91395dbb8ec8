// What the walks over the dashboard share: a browser that looks for nobody but the server under test, named checks, what
// the pages complained of, and a judge of accessibility.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const tools = createRequire(new URL('../node/package.json', import.meta.url));
const { chromium } = tools('playwright-core');
const AXE = readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8');

export const [base, shots = process.env.TESTS_SCREENSHOTS] = process.argv.slice(2);
if (!base) {
  console.error('usage: dashboard.mjs BASE_URL [SCREENSHOT_FOLDER]');
  process.exit(2);
}
export const origin = new URL(base).origin;
if (shots) mkdirSync(shots, { recursive: true });

let passed = 0;
let failed = 0;

/** One named fact; what `fact` throws or returns as text is what is wrong with it. */
export async function check(name, fact) {
  let wrong;
  try {
    wrong = await fact();
  } catch (cause) {
    wrong = cause.message.split('\n').slice(0, 4).join(' ');
  }
  if (wrong) {
    failed += 1;
    console.error(`FAILED ${name}: ${wrong}`);
  } else {
    passed += 1;
  }
}

export const part = (name, walk) => walk().catch((cause) => check(`the walk over the ${name}`, () => cause.message));

export const unless = (good, wrong) => (good ? null : wrong);

// Chromium without its services: it looks for nobody but the server under test. What goes to a graphics card
// goes to SwiftShader, as there is none.
const profile = mkdtempSync(join(tmpdir(), 'tributary-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--use-gl=angle',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--ignore-gpu-blocklist',
  ],
  viewport: { width: 1380, height: 900 },
  acceptDownloads: true,
});

export const page = browser.pages()[0] ?? (await browser.newPage());
// Long enough for a machine that does other things too: nothing is judged by how fast it is.
page.setDefaultTimeout(90_000);

const complaints = [];
const strangers = [];
const broken = [];
export const answers = [];
page.on('console', (message) => {
  if (message.type() === 'error') complaints.push(message.text());
});
page.on('pageerror', (error) => complaints.push(error.message));
page.on('request', (request) => {
  const url = new URL(request.url());
  if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== origin) strangers.push(request.url());
});
page.on('requestfailed', (request) => {
  // A question whose page was left before the answer came is given up by the browser: nobody waits for it.
  if (request.failure()?.errorText === 'net::ERR_ABORTED') return;
  broken.push(`${request.url()} ${request.failure()?.errorText}`);
});
const heard = [];
page.on('response', (response) => heard.push(listen(response)));

async function listen(response) {
  if (response.status() >= 400) broken.push(`${response.url()} ${response.status()}`);
  if (new URL(response.url()).pathname !== '/graphql') return;
  // The body of an answer is gone when the page has moved on meanwhile; the page did not use it either.
  const answer = await response.json().catch(() => null);
  if (answer !== null) answers.push(answer);
}

export async function shoot(name) {
  if (!shots) return;
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

/** The one table cell or attribute under a selector, as text. */
export const text = (selector) => page.locator(selector).first().innerText();
export const attribute = (selector, name) => page.locator(selector).first().getAttribute(name);
/** Goes to a view and waits until nothing is on its way. */
export async function visit(path) {
  await page.goto('about:blank');
  await page.goto(`${origin}/${path}`);
  await page.locator('main h1').first().waitFor();
  await page.waitForLoadState('networkidle');
  await settled();
}

/** Waits until no part of the page waits for an answer, and what is listened to has been heard. */
export async function settled() {
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
  await Promise.all(heard);
}

/** What axe-core finds on the page as it is, in a line; null when there is nothing. */
export async function inaccessible() {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const lines = violations.map((one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 120)}`);
  return lines.length === 0 ? null : lines.join(' | ');
}

/** The checks over the whole walk, the sum, and the end. */
export async function finish() {
  await check('no console error', () => unless(complaints.length === 0, complaints.slice(0, 3).join(' | ')));
  await check('no failed request', () => unless(broken.length === 0, broken.slice(0, 3).join(' | ')));
  await check('no request leaves the origin', () => unless(strangers.length === 0, strangers.slice(0, 3).join(' | ')));
  await check('no answer carries errors', () => {
    const wrong = answers.flatMap((answer) => answer?.errors ?? []);
    return unless(wrong.length === 0, JSON.stringify(wrong.slice(0, 2)));
  });
  await check('every answer names its block', () =>
    unless(
      answers.length > 0 && answers.every((answer) => answer?.extensions?.asOf?.hash),
      `${answers.filter((answer) => !answer?.extensions?.asOf?.hash).length} of ${answers.length} do not`,
    ),
  );

  await browser.close();
  rmSync(profile, { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
