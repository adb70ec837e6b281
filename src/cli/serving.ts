/**
 * The servers of `serve` besides that of lines. They are loaded when one of them is asked for: to serve lines takes none of
 * what they need.
 *
 * @internal
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Handshake from "../Handshake.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Http2 from "../protocols/Http2.ts"
import * as Line from "../protocols/Line.ts"
import * as Postgres from "../protocols/Postgres.ts"
import * as Tls from "../protocols/Tls.ts"
import * as Server from "../Server.ts"
import * as Authenticator from "./authenticator.ts"
import * as Flags from "./flags.ts"
import * as Http2Answer from "./http2.ts"
import * as Listen from "./listen.ts"
import * as PostgresAnswer from "./postgres.ts"
import * as TlsFlags from "./tls.ts"
import type * as Users from "./users.ts"
import * as Workers from "./workers.ts"

/** Lines over TLS, and HTTP/2. */
export interface Options extends Listen.Options, TlsFlags.ServerFlags {}

export interface AnyOptions extends Options, Users.UserFlags {}

interface PostgresOptions extends AnyOptions {
  readonly requireTls: boolean
}

const echo = Pipeline.serve((request: string) => Effect.succeed(request))

export const tlsLine = (options: TlsFlags.ServerFlags & Workers.Options & { readonly maxLength: number }) =>
  Workers.serve(
    options,
    ({ behind, options, settings }, readAgain) =>
      Effect.map(TlsFlags.required(options, readAgain), (tls) => {
        const handshake = Line.make({ maxLength: options.maxLength }).server.pipe(
          Tls.server(tls),
          behind,
          Handshake.named("tls-line")
        )
        return Server.layer({ handshake, serve: echo, ...settings })
      })
  )

const http2Body = "The handshake is an Effect.\n"

const http2Server = Http2.server({ settings: Http2Answer.settings })

export const http2 = (options: Options) =>
  Listen.started(
    options,
    Effect.fnUntraced(function*({ behind, settings }) {
      const tls = yield* TlsFlags.serving(options)
      return Server.layer({
        handshake: Option.isSome(tls)
          ? Tls.alpn({ h2: http2Server }).pipe(Tls.server(tls.value), behind, Handshake.named("h2"))
          : behind(http2Server),
        serve: Http2Answer.answer(http2Body),
        ...settings
      })
    })
  )

const postgresParameters = { server_version: "18.0 (effect-handshake)" }

const postgresServer = (tls: Option.Option<Effect.Effect<Tls.ServerOptions>>, requireTls = false) =>
  Postgres.server({
    parameters: postgresParameters,
    ...Option.isSome(tls) && { tls: tls.value, requireTls }
  })

export const postgres = (options: PostgresOptions) =>
  Listen.started(
    options,
    Effect.fnUntraced(function*({ behind, settings }) {
      const users = yield* Authenticator.layer(options)
      const tls = yield* TlsFlags.serving(options)
      if (options.requireTls && Option.isNone(tls)) {
        return yield* Flags.failing("--require-tls needs --tls-cert and --tls-key", Flags.usage)
      }
      return Server.layer({
        handshake: behind(postgresServer(tls, options.requireTls)),
        serve: PostgresAnswer.serve(postgresParameters),
        ...settings
      }).pipe(Layer.provide(users), Layer.provide(NodeCrypto.layer))
    })
  )

/** What the port of `serve any` speaks. */
const anyHandshake = (tls: Option.Option<Effect.Effect<Tls.ServerOptions>>) => {
  const line = Handshake.extend(Line.server, { protocol: "line" })
  const postgres = postgresServer(tls)
  const clear = [
    { name: "HTTP/2", accepts: Http2.isPreface, handshake: http2Server },
    { name: "PostgreSQL", accepts: Postgres.isStartup, handshake: postgres },
    { name: "line", accepts: () => true, handshake: line }
  ] as const
  if (Option.isNone(tls)) return Handshake.firstOf(clear)
  const inside = Tls.alpn({ h2: http2Server, postgresql: postgres }, { otherwise: Handshake.firstOf(clear) })
  return Handshake.firstOf([
    { name: "TLS", accepts: Tls.isClientHello, handshake: inside.pipe(Tls.server(tls.value)) },
    ...clear
  ])
}

export const any = (options: AnyOptions) =>
  Listen.started(
    options,
    Effect.fnUntraced(function*({ behind, settings }) {
      const users = yield* Authenticator.layer(options)
      const tls = yield* TlsFlags.serving(options)
      const answerHttp2 = Http2Answer.answer(http2Body)
      const answerPostgres = PostgresAnswer.serve(postgresParameters)
      return Server.layer({
        handshake: Handshake.named(behind(anyHandshake(tls)), "any"),
        serve: (transport) => {
          switch (transport.protocol) {
            case "h2":
              return answerHttp2(transport)
            case "postgres":
              return answerPostgres(transport)
            case "line":
              return echo(transport)
          }
        },
        ...settings
      }).pipe(Layer.provide(users), Layer.provide(NodeCrypto.layer))
    })
  )
