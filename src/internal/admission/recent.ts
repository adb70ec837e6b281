/**
 * What is known of keys that peers choose: as many as there is room for, and then no more of those that were not asked for lately.
 *
 * Two generations: what is looked at is in the young one. When that holds half of what there is room for, it becomes the old one,
 * and what was old is forgotten. So each step costs the same, whatever comes, and a key that is used is kept for as long as fewer
 * than half of `max` others come between.
 *
 * @internal
 */
export class Recent<A> {
  private readonly half: number
  private young = new Map<string, A>()
  private old = new Map<string, A>()

  constructor(max: number) {
    this.half = Math.max(1, Math.floor(max / 2))
  }

  get size(): number {
    return this.young.size + this.old.size
  }

  get(key: string): A | undefined {
    const known = this.young.get(key)
    if (known !== undefined || this.old.size === 0) return known
    const old = this.old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: A): void {
    // A key is in one of the two.
    this.old.delete(key)
    this.young.set(key, value)
    if (this.young.size < this.half) return
    this.old = this.young
    this.young = new Map()
  }

  delete(key: string): void {
    this.young.delete(key)
    this.old.delete(key)
  }
}
