# The official Node image, pinned: pass another as --build-arg NODE_IMAGE=… (or a digest).
ARG NODE_IMAGE=node:26.10.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.base.json ./
COPY src src
COPY workers workers
RUN npx tsc -b src/domain src workers

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image's own Node runs the bot, so the pinned runtime of the optional dependencies stays out.
RUN npm ci --omit=dev --omit=optional && npm cache clean --force

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    STATE_DB_PATH=/data/btcbot.sqlite
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
COPY config config
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=2 CMD ["node", "dist/cli.js", "health"]
ENTRYPOINT ["node", "--disable-sigusr1", "dist/supervisor.js"]
