/**
 * The laws of PostgreSQL's start-up by `md5`, the way of production.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { laws } from "./laws.ts"

laws({ method: "md5", version: "3.0", rungs: [Rung.fast(Rung.pure)] })
