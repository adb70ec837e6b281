/**
 * Who is there, in no order: members come and go at once, wherever they stand.
 *
 * A Set would do, but where thousands come and go it costs far more than it holds: V8 keeps each table that a Set has
 * outgrown linked to the next one, and a table that has grown old keeps all that came after it until a full collection.
 *
 * @internal
 */

export interface Member {
  /** Its place among the members, which is the roster's business. -1 for one that is none. */
  place: number
}

export class Roster<A extends Member> {
  private readonly members: Array<A> = []

  get size(): number {
    return this.members.length
  }

  add(member: A): void {
    if (member.place >= 0) return
    member.place = this.members.length
    this.members.push(member)
  }

  delete(member: A): void {
    const { place } = member
    if (place < 0) return
    member.place = -1
    const last = this.members.pop()!
    if (last === member) return
    this.members[place] = last
    last.place = place
  }

  /** All that are there now; who comes or goes meanwhile changes nothing. */
  [Symbol.iterator](): Iterator<A> {
    return this.members.slice().values()
  }
}
