// The dashboard without a mouse: every page is reached, read and used by keys alone.

import { attribute, check, page, settled, unless, visit } from './harness.mjs';

/** Presses Tab until the focus is on something that fits; at most so often. */
async function tabTo(selector, most = 120) {
  for (let i = 0; i < most; i += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector)) return;
  }
  throw new Error(`no ${selector} after ${most} times Tab`);
}

const heading = async (name) => page.getByRole('heading', { level: 1, name }).waitFor();

export async function keyboard() {
  await visit('#/');
  await check('the skip link is the first stop and leads to the content', async () => {
    await page.keyboard.press('Tab');
    const first = await page.evaluate(() => document.activeElement?.className);
    await page.keyboard.press('Enter');
    const focused = await page.evaluate(() => document.activeElement?.tagName);
    return unless(first?.includes('skip') && focused === 'MAIN', `${first}, then ${focused}`);
  });
  const pages = [
    ['map', 'Provenance map'],
    ['account', 'Account statement'],
    ['epoch', 'Epochs'],
    ['dataset', 'Datasets'],
    ['model', 'Models'],
    ['agent', 'Agents'],
    ['blob', 'Batches and blobs'],
    ['block', 'Blocks'],
    ['proof', 'Proof'],
    ['status', 'Status'],
  ];
  for (const [path, title] of pages) {
    await check(`the page ${title} is reached by keys, and the focus with it`, async () => {
      await visit('#/');
      await tabTo(`nav a[href="#/${path}"]`);
      await page.keyboard.press('Enter');
      await heading(title);
      await settled();
      const focused = await page.evaluate(() => document.activeElement?.tagName);
      return unless(focused === 'MAIN', `the focus is on ${focused}`);
    });
  }
  await check('what has the focus can be seen', async () => {
    await visit('#/epoch');
    // The first epoch is the last row; the newest may have seen no payment.
    await tabTo('tbody tr:last-child a', 400);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    return unless(outline !== 'none', `the outline is ${outline}`);
  });
  await check('an epoch is opened and its river walked by keys', async () => {
    await page.keyboard.press('Enter');
    await page.locator('svg [data-stop]').first().waitFor();
    await tabTo('svg a[data-stop]');
    const name = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
    return unless(/: \d/.test(name ?? ''), `the stop says ${name}`);
  });
  await check('an account is opened, its explanation taken apart, its proof found', async () => {
    await visit('#/account');
    await page.locator('tbody a').first().waitFor();
    await tabTo('tbody a');
    await page.keyboard.press('Enter');
    await page.locator('[data-drill]').first().waitFor();
    await tabTo('[data-drill]');
    await page.keyboard.press('Enter');
    await page.locator('[data-drill][aria-expanded="true"]').first().waitFor();
    const kept = await page.evaluate(() => document.activeElement?.getAttribute('aria-expanded'));
    return unless(kept === 'true', 'the focus left the opened level');
  });
  await check('the map is walked and its sliders moved by keys', async () => {
    await visit('#/map');
    await page.locator('tr[aria-current="true"]').waitFor();
    await settled();
    await tabTo('input[aria-label="As of block"]');
    await page.keyboard.press('Home');
    await page.waitForURL(/at=0/);
    await page.getByText('at block 0').waitFor();
    await page.keyboard.press('End');
    await page.waitForFunction(() => !location.hash.includes('at='));
    await page.locator('tr[aria-current="true"]').waitFor();
    await settled();
    const before = await page.locator('tr[data-node]').count();
    await tabTo('input[aria-label="Hide the least important"]');
    for (let i = 0; i < 10; i += 1) await page.keyboard.press('ArrowRight');
    await page.waitForURL(/least=50/);
    const after = await page.locator('tr[data-node]').count();
    await tabTo('[role="application"]');
    const was = await attribute('tr[aria-current="true"]', 'data-node');
    await page.keyboard.press('ArrowLeft');
    await page.waitForFunction((id) => document.querySelector('tr[aria-current="true"]')?.dataset.node !== id, was);
    return unless(after < before && after >= 2, `${before} nodes, then ${after}`);
  });
  await check('the theme is changed by keys', async () => {
    await visit('#/status');
    await tabTo('header button');
    const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.keyboard.press('Enter');
    const after = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    return unless(before !== after, `${before} stays`);
  });
}
