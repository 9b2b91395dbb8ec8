// What is worth telling on whichever page: the newest block, epochs that settle, and blocks that a reorg took back.

import { grouped } from './money';
import { live } from './live.svelte';
import type { Block } from './queries';
import { BLOCKS, EPOCHS, type BlockEvent, type EpochEvent, type Told } from './queries/live';

// A screen reader is told at most so often; what comes meanwhile is told together with what follows.
const QUIET_MS = 5_000;

class News {
  /** The newest verified block, once one was told. */
  tip: Block | null = $state.raw(null);
  /** The last news, in a sentence. */
  said = $state('');
  private pending: string[] = [];
  private timer: number | null = null;

  /** The newest verified block: the one that was told, or else what an answer knows. */
  newest(answered: Block | null): Block | null {
    return this.tip ?? answered;
  }

  /** Listens until the returned function is called. */
  begin(): () => void {
    const ends = [
      live.watch(BLOCKS, (event) => this.block(event as BlockEvent | null)),
      live.watch(EPOCHS, (event: Told | null) => {
        if (event !== null) this.say(`Epoch ${(event as EpochEvent).epoch.number} has settled.`);
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  private block(event: BlockEvent | null): void {
    // Where something was missed the next answer knows better than the last event.
    if (event === null) this.tip = null;
    else if (event.__typename === 'BlockAdded') this.tip = { number: event.number, hash: event.hash, timestamp: event.timestamp };
    else {
      // The block below stands; another follows at once.
      this.tip = event.head === null ? null : { number: Number(event.from) - 1, hash: event.head, timestamp: null };
      const [from, to] = [grouped(String(event.from)), grouped(String(event.to))];
      this.say(from === to ? `A reorg took back block ${from}.` : `A reorg took back blocks ${from} to ${to}.`);
    }
  }

  private say(sentence: string): void {
    this.pending.push(sentence);
    if (this.timer !== null) return;
    this.tell();
  }

  private tell(): void {
    if (this.pending.length === 0) {
      this.timer = null;
      return;
    }
    // Of much that happened at once the last few are news.
    this.said = this.pending.slice(-SENTENCES_MAX).join(' ');
    this.pending = [];
    this.timer = window.setTimeout(() => this.tell(), QUIET_MS);
  }
}

const SENTENCES_MAX = 3;

export const news = new News();
