// GraphiQL, by mouse and by keys, in both themes: what it opens with runs, and nothing comes from elsewhere.

import { check, origin, page, shoot, text, unless } from './harness.mjs';

const RESULT = '.result-window .CodeMirror-code';
const run = () => page.getByRole('button', { name: /^Execute query/ });

async function opened(theme) {
  await page.evaluate((name) => {
    localStorage.clear();
    localStorage.setItem('tributary-theme', name);
  }, theme);
  await page.goto(`${origin}/graphiql`);
  await page.locator('.graphiql-query-editor .CodeMirror-code').waitFor();
  // The editor knows the schema once the documentation can be shown.
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).waitFor();
}

/** Waits for an answer in the right-hand window, and gives it. */
async function answered(word) {
  await page.locator(RESULT, { hasText: word }).waitFor();
  return text(RESULT);
}

export async function graphiql() {
  await page.goto(origin);
  for (const theme of ['light', 'dark']) {
    await opened(theme);
    await check(`GraphiQL opens in the ${theme} theme with a query that runs`, async () => {
      const ground = await page.evaluate(() => document.body.className);
      const query = await text('.graphiql-query-editor .CodeMirror-code');
      await run().click();
      const answer = await answered('"accounts"');
      const good = ground.includes(theme) && query.includes('accounts(first: 5') && !answer.includes('"errors"');
      return unless(good, `${ground}: ${query.slice(0, 60)}: ${answer.slice(0, 120)}`);
    });
    await check(`the documentation opens by the mouse in the ${theme} theme`, async () => {
      await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
      await page.locator('.graphiql-doc-explorer').getByRole('link', { name: 'Query', exact: true }).click();
      await page.locator('.graphiql-doc-explorer').getByText('provenance', { exact: true }).first().waitFor();
      return null;
    });
    await shoot(`${theme}-graphiql`);
  }
  await byKeys();
}

async function byKeys() {
  await opened('light');
  await check('a query is written, completed and run by keys alone', async () => {
    await page.keyboard.press('Tab');
    for (let i = 0; i < 60 && !(await focused('.graphiql-query-editor textarea')); i += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('{ status { chainI', { delay: 60 });
    await page.locator('.CodeMirror-hints').getByText('chainId').first().waitFor();
    await page.keyboard.press('Enter');
    await looked();
    await page.keyboard.press('Control+Enter');
    const answer = await answered('"chainId"');
    await page.keyboard.press('Tab');
    const kept = await focused('.graphiql-query-editor textarea');
    return unless(!answer.includes('"errors"') && !kept, `${kept ? 'the editor keeps the focus; ' : ''}${answer.slice(0, 200)}`);
  });
  await check('a subscription is begun and stopped by keys', async () => {
    await page.getByRole('tab', { name: 'Blocks' }).getByRole('button', { name: 'Blocks' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.graphiql-query-editor', { hasText: 'subscription Blocks' }).waitFor();
    await looked();
    await run().focus();
    await page.keyboard.press('Enter');
    const stop = page.getByRole('button', { name: /^Stop query/ });
    await stop.waitFor();
    await stop.focus();
    await page.keyboard.press('Enter');
    await run().waitFor();
    return null;
  });
}

/** GraphiQL looks a moment after the last change which operations there are; until then it runs as if it were before. */
const looked = () => page.waitForTimeout(1_500);
const focused = (selector) => page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector);
