/**
 * A queue whose front costs a constant to take, however long it is: `Array.shift` moves all the others.
 *
 * @internal
 */
export class Fifo<A> {
  private items: Array<A> = []
  private start = 0

  get length(): number {
    return this.items.length - this.start
  }

  /** The front. It may be replaced, and is there only if the queue is not empty. */
  get first(): A {
    return this.items[this.start]
  }

  set first(item: A) {
    this.items[this.start] = item
  }

  get last(): A | undefined {
    return this.length === 0 ? undefined : this.items[this.items.length - 1]
  }

  push(item: A): void {
    this.items.push(item)
  }

  shift(): A {
    const item = this.items[this.start++]
    // Half of it is spent at least, so that each item is moved once at most, on average.
    if (2 * this.start >= this.items.length) {
      this.items = this.items.slice(this.start)
      this.start = 0
    }
    return item
  }

  clear(): void {
    this.items = []
    this.start = 0
  }
}
