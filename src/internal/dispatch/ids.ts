/**
 * The ids of requests.
 *
 * @internal
 */

/** How many ids are remembered of which nothing may come any more. */
const maxLate = 4096

/** What is over on this side, while something of it may still come: that is known as such, for as long as it is remembered. */
export class LateIds<Id> {
  private readonly ids = new Set<Id>()

  get size(): number {
    return this.ids.size
  }

  has(id: Id): boolean {
    return this.ids.has(id)
  }

  add(id: Id): void {
    this.ids.add(id)
    if (this.ids.size <= maxLate) return
    const [oldest] = this.ids
    this.ids.delete(oldest)
  }

  delete(id: Id): boolean {
    return this.ids.delete(id)
  }

  clear(): void {
    this.ids.clear()
  }
}
