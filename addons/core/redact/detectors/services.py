"""Services that hand out keys, by the names that people give to variables: `WALMART_KEY` holds one."""

from __future__ import annotations

_NAMES = """
abuseipdb adafruit adobe adyen affirm agora airbrake airbyte airtable aiven akamai alchemy algolia
alibaba alibabacloud aliyun alphavantage amadeus amazon amplitude anthropic anyscale apify apilayer
apollo appdynamics appfollow appsflyer appveyor artifactory asana assemblyai atlassian auth0
aviationstack aws axiom azure backblaze bannerbear baremetrics baseten beamer bigcommerce billomat
binance bitbucket bitfinex bitly bitmex bitrise bittrex blazemeter blynk braintree branch brandfetch
brave brevo browserstack budibase bugsnag buildkite bunny buttercms bybit calendly callrail campayn
cannyio canva captchame carto censys chargebee chargify chartmogul checkly checkout checkr cicero
circleci clarifai clearbit clerk clickhouse clickup clockify cloudconvert cloudflare cloudinary
cloudmersive cloudsmith coda codacy codeclimate codecov codemagic cohere coinapi coinbase coinlayer
coinmarketcap confluent contentful convertkit copper couchbase courier coveralls crowdin crowdstrike
cryptocompare currencylayer customerio databricks datadog datarobot deepai deepgram deepl deepseek
deputy dfuse digitalocean discord docker dockerhub docusign doppler droneci dropbox duffel dwolla
dynatrace easypost elasticsearch elevenlabs eloqua emailoctopus eodhd etherscan etsy eventbrite
everhour exa facebook fastly fedex figma finicity finnhub firebase fireworks fivetran flickr
flightstats flutterwave fmp foursquare freshbooks freshdesk freshservice front fullstory gcp
geckoboard gemini gengo geoapify getresponse ghost giphy gitea github gitlab gitter gocardless
google grafana graphhopper greenhouse groq gumroad gusto harvest helpscout here heroku hetzner hibp
honeybadger honeycomb hotjar hubspot huggingface hunter ibm imagekit imgur influxdb infobip infura
instabot instagram intercom intrinio ipapi ipgeolocation ipinfo ipstack jenkins jfrog jotform
jumpcloud kagi kaleyra keen klarna klaviyo kraken kucoin langfuse langsmith lastfm launchdarkly
lemlist lemonsqueezy linear linkedin linode lithic litmus lob logdna loggly logzio lokalise
mailboxlayer mailchimp mailerlite mailersend mailgun mailjet mandrill mapbox mapquest marketstack
mattermost maxmind meilisearch meraki mesibo messagebird mistral mixpanel modal monday mongodb
moralis mux neon netlify newrelic newsapi nexmo ngrok nightfall notion novu npm nuget nvidia nylas
nytimes okta onelogin onesignal openai openrouter openweather openweathermap opsgenie optimizely
outreach paddle pagerduty pandadoc papertrail particle partnerstack paypal paystack pdfshift
perplexity persona pexels pinata pinecone pingdom pinterest pipedrive pixabay plaid planetscale
plivo polygon postbacks posthog postman postmark prefect printful pulumi pushbullet pusher pypi
qualaroo quandl quickbooks rapidapi raven rawg razorpay readme rebrandly recurly reddit replicate
resend rev ringcentral riot rollbar rubygems runpod runway salesforce sauce saucelabs scaleway
scraperapi scrapfly scrapingbee securitytrails segment semrush sendbird sendgrid sendinblue sentry
serpapi serper shippo shodan shopify shutterstock sinch skyscanner slack smartsheet snipcart
snowflake snyk sonar sonarqube sparkpost spoonacular spotify square squarespace stability statuspage
stormglass storyblok strava streak stripe stytch sumologic supabase surveymonkey tatum tavily
teamgate telegram telnyx tencent tiingo tiktok timezoneapi todoist together tomorrowio tomtom
travisci trello twelvedata twilio twitch twitter typeform ubidots unsplash upcdatabase uploadcare
upstash uptimerobot userstack vercel vimeo virustotal visualcrossing voyage vultr walkscore walmart
wandb weatherapi weatherbit weaviate webex webflow webscraper whoxy wistia wix woocommerce workos
xai xata xero yandex yelp youtube zapier zendesk zenkit zenserp zerobounce zillow zipcodeapi zoho
zoom zulip
"""
NAMES = frozenset(_NAMES.split())
"""In lower case, without separators. Only what hardly means anything else before `key`."""
