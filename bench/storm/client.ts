/**
 * The client that is in good order: it asks, and says how long it has waited.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect as dial } from "node:net"
import { BenchError } from "../process.ts"

export interface Client {
  /** The milliseconds until the answer was there. Fails where it is none, or does not come. */
  readonly ask: (line: string) => Effect.Effect<number, BenchError>
}

/** Who has waited for so long for one answer waits for nothing. */
const patience = "30 seconds"

/** Dials and shakes hands. The end of the scope closes it. */
export const connect = (port: number): Effect.Effect<Client, BenchError, Scope.Scope> =>
  Effect.gen(function*() {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => dial({ host: "127.0.0.1", port, noDelay: true }).setEncoding("utf8")),
      (socket) => Effect.sync(() => socket.destroy())
    )
    let end: string | undefined
    let hear = () => {}
    let text = ""
    socket.on("data", (chunk) => {
      text += String(chunk)
      hear()
    })
    socket.on("error", ({ message }) => {
      end = message
    })
    socket.on("close", () => {
      end ??= "it was closed"
      hear()
    })

    const said = (line: string, expected: string): Effect.Effect<number, BenchError> =>
      Effect.callback<number, BenchError>((resume) => {
        const begun = performance.now()
        const fail = (message: string) => resume(Effect.fail(new BenchError({ message })))
        hear = () => {
          const length = text.indexOf("\n")
          if (length === -1) return end === undefined ? undefined : fail(`no answer: ${end}`)
          const answer = text.slice(0, length)
          text = text.slice(length + 1)
          hear = () => {}
          if (answer === expected) resume(Effect.succeed(performance.now() - begun))
          else fail(`the answer to ${line} is ${answer}`)
        }
        socket.write(`${line}\n`)
        hear()
      }).pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail(new BenchError({ message: `no answer within ${patience}` }))
        })
      )
    yield* said("You ready?", "Bring it!")
    return { ask: (line) => said(line, line) }
  })
