// What the server tells, again and again while somebody looks.

const EVERY_MS = 2000;

/**
 * The newest answer, and why the last question had none. To be called while a component is made; asks until it goes
 * away, and begins anew when what `ask` reads before its first `await` changes.
 */
export function polled<T>(ask: () => Promise<T>, everyMs = EVERY_MS) {
  let answer = $state.raw<T | null>(null);
  let trouble = $state("");

  $effect(() => {
    let wanted = true;
    async function refresh() {
      try {
        const told = await ask();
        // An answer to what is not asked any more is late.
        if (wanted) [answer, trouble] = [told, ""];
      } catch (error) {
        if (wanted) trouble = error instanceof Error ? error.message : String(error);
      }
    }
    void refresh();
    const timer = setInterval(() => document.hidden || void refresh(), everyMs);
    return () => {
      wanted = false;
      clearInterval(timer);
    };
  });

  return {
    /** Null until the first one has come; the last one stays when a question has none. */
    get answer() {
      return answer;
    },
    get trouble() {
      return trouble;
    },
  };
}
