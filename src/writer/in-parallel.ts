/** So many files of a model are worked on at once: their threads are those of one pool, and each takes a few megabytes. */
const AT_ONCE = 3;

/** Does the work for each item, some at once; the first failure is thrown once nothing is under way any more. */
export async function inParallel<Item>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | null = null;
  const lane = async (): Promise<void> => {
    while (failure === null && next < items.length) {
      const index = next++;
      try {
        await work(items[index]!, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const failed = failure as { error: unknown } | null;
  if (failed !== null) throw failed.error;
}
