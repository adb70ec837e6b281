/**
 * The sessions that can be cancelled: those whose connection is open (the PostgreSQL manual, 54.2.9).
 *
 * No two of them have the same place, which is the end of their number in binary; where half of the places are taken there are twice as
 * many, and each session stays alone in its own. A Map would do, but where thousands come and go V8 keeps each of the tables that it has
 * outgrown, with all sessions that were in it, until a full collection.
 *
 * @internal
 */
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { BackendKey } from "./client.ts"

/** For how many sessions random bytes are asked at once: to ask takes far longer than to make them. */
const ahead = 32

export class Sessions<S extends { readonly backendKey: BackendKey }> {
  // As many as a power of two.
  private places: Array<S | undefined> = [undefined, undefined]
  private size = 0
  /** Random bytes that are not used yet. */
  private random: Uint8Array = new Uint8Array(0)

  private placeOf(processId: number): number {
    return processId & (this.places.length - 1)
  }

  /**
   * Opens a session with a key that nobody has, whose secret has so many bytes. It ends with its scope, and there may be something left
   * to say then.
   */
  open(
    secretLength: number,
    make: (key: BackendKey) => S,
    lastWords: () => Effect.Effect<void>
  ): Effect.Effect<S, never, SecureRandom.SecureRandom | Scope.Scope> {
    const length = 4 + secretLength
    return Effect.uninterruptibleMask((restore) => {
      const opening: Effect.Effect<S, never, SecureRandom.SecureRandom | Scope.Scope> = Effect.suspend(() => {
        const session = this.tryOpen(length, make)
        if (session === undefined) return Effect.andThen(restore(this.moreRandom(ahead * length)), opening)
        return Effect.flatMap(Effect.scope, (scope) =>
          Effect.as(
            Scope.addFinalizerExit(scope, () => {
              this.close(session)
              return lastWords()
            }),
            session
          ))
      })
      return opening
    })
  }

  private moreRandom(length: number): Effect.Effect<void, never, SecureRandom.SecureRandom> {
    return Effect.flatMap(SecureRandom.SecureRandom, ({ randomBytes }) =>
      Effect.map(randomBytes(length), (more) => {
        this.random = more
      }))
  }

  /** `undefined` where there are not random bytes enough. */
  private tryOpen(length: number, make: (key: BackendKey) => S): S | undefined {
    while (this.random.length >= length) {
      const { random } = this
      this.random = random.subarray(length)
      const processId = (random[0] << 24 | random[1] << 16 | random[2] << 8 | random[3]) >>> 1
      if (processId === 0 || this.places[this.placeOf(processId)] !== undefined) continue
      return this.add(make({ processId, secretKey: Redacted.make(random.slice(4, length)) }))
    }
    return undefined
  }

  private close({ backendKey: { processId } }: S): void {
    this.places[this.placeOf(processId)] = undefined
    this.size--
  }

  /** The one with this key, whose secret is compared in a time that does not depend on it. */
  find({ processId, secretKey }: BackendKey): S | undefined {
    const session = this.places[this.placeOf(processId)]
    return session !== undefined && session.backendKey.processId === processId &&
        Mac.timingSafeEqual(Redacted.value(session.backendKey.secretKey), Redacted.value(secretKey))
      ? session
      : undefined
  }

  private add(session: S): S {
    this.put(session)
    if (++this.size * 2 > this.places.length) {
      const { places } = this
      this.places = Array.from({ length: 2 * places.length }, () => undefined)
      for (const other of places) if (other !== undefined) this.put(other)
    }
    return session
  }

  private put(session: S): void {
    this.places[this.placeOf(session.backendKey.processId)] = session
  }
}
