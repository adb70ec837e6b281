import { describe, expect, it } from "@effect/vitest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { BackendKey } from "../../../src/protocols/postgres/client.ts"
import { Sessions } from "../../../src/protocols/postgres/sessions.ts"
import { layer } from "./crypto.ts"

const secretLength = 4

interface Session {
  readonly backendKey: BackendKey
}

/** Random bytes of which the first half of each key is one of a few numbers, so that keys want the same place. */
const few = Effect.map(SecureRandom.SecureRandom, (random): SecureRandom.SecureRandom["Service"] => ({
  ...random,
  randomBytes: (length) =>
    Effect.map(random.randomBytes(length), (bytes) =>
      bytes.map((byte, i) => {
        const at = i % (4 + secretLength)
        return at < 2 ? 0 : at === 2 ? byte & 1 : byte
      }))
}))

const opened = (sessions: Sessions<Session>, lastWords: () => Effect.Effect<void> = () => Effect.void) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const session = yield* Scope.provide(
      sessions.open(secretLength, (backendKey): Session => ({ backendKey }), lastWords),
      scope
    )
    return { session, close: Scope.close(scope, Exit.void) }
  })

describe("sessions", () => {
  it.effect.prop(
    "are found by their keys for as long as they are open, whatever comes and goes",
    {
      steps: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -40, maximum: 60 }))).check(
        Schema.isMaxLength(120)
      )
    },
    ({ steps }) =>
      Effect.gen(function*() {
        const sessions = new Sessions<Session>()
        const open: Array<Effect.Success<ReturnType<typeof opened>>> = []
        const gone: Array<Session> = []
        for (const step of steps) {
          if (step >= 0) open.push(yield* opened(sessions))
          const [ended] = step < 0 ? open.splice(-step % Math.max(1, open.length), 1) : []
          if (ended !== undefined) {
            yield* ended.close
            gone.push(ended.session)
          }
          for (const { session } of open) expect(sessions.find(session.backendKey)).toBe(session)
          const numbers = open.map(({ session }) => session.backendKey.processId)
          expect(new Set(numbers).size).toBe(open.length)
          for (const number of numbers) expect(number).toBeGreaterThan(0)
          for (const { backendKey } of gone) expect(gone).not.toContain(sessions.find(backendKey))
        }
      }).pipe(Effect.provideServiceEffect(SecureRandom.SecureRandom, few), Effect.provide(layer))
  )

  it.effect("are not found by another secret of the same length, a shorter one, or the number beside theirs", () =>
    Effect.gen(function*() {
      const sessions = new Sessions<Session>()
      const { session } = yield* opened(sessions)
      const { processId, secretKey } = session.backendKey
      const secret = Redacted.value(secretKey)
      const other = Redacted.make(secret.map((byte, i) => i === 0 ? byte ^ 1 : byte))
      expect(sessions.find({ processId, secretKey: other })).toBeUndefined()
      expect(sessions.find({ processId, secretKey: Redacted.make(secret.subarray(1)) })).toBeUndefined()
      expect(sessions.find({ processId: processId ^ 0x4000_0000, secretKey })).toBeUndefined()
      expect(sessions.find({ processId, secretKey: Redacted.make(Uint8Array.from(secret)) })).toBe(session)
    }).pipe(Effect.provide(layer)))

  it.effect("are over before their last words are said", () =>
    Effect.gen(function*() {
      const sessions = new Sessions<Session>()
      const found: Array<Session | undefined> = []
      const { close, session } = yield* opened(
        sessions,
        () => Effect.sync(() => void found.push(sessions.find(session.backendKey)))
      )
      yield* close
      expect(found).toEqual([undefined])
    }).pipe(Effect.provide(layer)))

  it.effect("that wait for random bytes can be interrupted, and there is none then", () =>
    Effect.gen(function*() {
      const sessions = new Sessions<Session>()
      const exit = yield* opened(sessions).pipe(
        Effect.provideService(SecureRandom.SecureRandom, {
          ...yield* SecureRandom.SecureRandom,
          randomBytes: () => Effect.never
        }),
        Effect.timeoutOption(0),
        Effect.exit
      )
      expect(Exit.isSuccess(exit)).toBe(true)
    }).pipe(Effect.provide(layer)))
})
