//! Languages of the account: what clients read by its text (contract 3.6). Strings that no source
//! gives are plain translations, for clients that must not depend on them.

use std::str::FromStr;

use serde_json::{Value, json};

/// Language of the account, which no browser flag changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `en`.
    #[default]
    English,
    /// `en-US`.
    AmericanEnglish,
    /// `en-GB`: English words, the day before the month.
    BritishEnglish,
    /// `nl`.
    Dutch,
    /// `es`.
    Spanish,
    /// `de`.
    German,
    /// `pl`.
    Polish,
}

const ALL: [Language; 7] = [
    Language::English,
    Language::AmericanEnglish,
    Language::BritishEnglish,
    Language::Dutch,
    Language::Spanish,
    Language::German,
    Language::Polish,
];

impl Language {
    /// As in `<html lang>`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::AmericanEnglish => "en-US",
            Self::BritishEnglish => "en-GB",
            Self::Dutch => "nl",
            Self::Spanish => "es",
            Self::German => "de",
            Self::Polish => "pl",
        }
    }

    /// What the pages' scripts write.
    pub(crate) fn strings(self) -> Value {
        let mut strings = match self {
            Self::English | Self::AmericanEnglish | Self::BritishEnglish => english(),
            Self::Dutch => dutch(),
            Self::Spanish => spanish(),
            Self::German => german(),
            Self::Polish => polish(),
        };
        if self == Self::BritishEnglish {
            strings["dayFirst"] = json!(true);
        }
        strings
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ALL.into_iter()
            .find(|language| language.tag() == text)
            .ok_or_else(|| format!("`{text}` is none of {}", ALL.map(Self::tag).join(", ")))
    }
}

fn english() -> Value {
    json!({
        "dayFirst": false, "hours24": false, "dot": "",
        "selectDay": "Select all photos from", "filename": "Filename:", "dateTaken": "Date taken:",
        "timeTaken": "Time taken:", "today": "Today", "yesterday": "Yesterday",
        "previous": "View previous photo", "next": "View next photo", "more": "More options",
        "download": "Download - Shift+D", "downloadWord": "Download",
        "downloadOriginal": "Download original", "downloadVideo": "Download video",
        "downloadAll": "Download all", "openInfo": "Open info", "closeInfo": "Close info",
        "back": "Back to photos", "edit": "Edit", "favourite": "Favorite", "trash": "Move to trash", "people": "People", "details": "Details", "description": "Description",
        "processing": "Video still is processing",
        "processingToast": "Video is still processing & can be downloaded later",
        "readySoon": "Your video will be ready soon", "ok": "OK",
        "types": ["Photo", "Video"], "shapes": ["Landscape", "Portrait", "Square"],
        "months": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        "days": ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
        "longDays": ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
    })
}

/// The rest of a language is as in English.
fn over_english(own: &Value) -> Value {
    let mut strings = english();
    if let (Some(strings), Some(own)) = (strings.as_object_mut(), own.as_object()) {
        strings.extend(own.clone());
    }
    strings
}

fn dutch() -> Value {
    // "Download original" and the processing texts are English in the one client that knows Dutch.
    over_english(&json!({
        "dayFirst": true, "hours24": true,
        "selectDay": "Alle foto's van", "filename": "Bestandsnaam:", "dateTaken": "Fotodatum:",
        "timeTaken": "Tijdsduur:", "today": "Vandaag", "yesterday": "Gisteren",
        "previous": "Vorige foto bekijken", "next": "Volgende foto bekijken", "more": "Meer opties",
        "download": "Downloaden - Shift+D", "downloadWord": "Downloaden",
        "downloadVideo": "Video downloaden", "downloadAll": "Alles downloaden",
        "openInfo": "Info openen", "closeInfo": "Info sluiten", "back": "Terug naar foto's", "edit": "Bewerken", "favourite": "Favoriet",
        "trash": "Verplaatsen naar prullenbak",
        "people": "Mensen", "details": "Details", "description": "Beschrijving",
        "types": ["Foto", "Video"], "shapes": ["Liggend", "Staand", "Vierkant"],
        "months": ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
        "days": ["zo", "ma", "di", "wo", "do", "vr", "za"],
        "longDays": ["zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"],
    }))
}

fn spanish() -> Value {
    // "Download original" is English here, too, in the one client that knows Spanish.
    over_english(&json!({
        "dayFirst": true, "hours24": true,
        "selectDay": "Seleccionar todas las fotos desde", "filename": "Nombre del archivo:",
        "dateTaken": "Fecha de captura:", "timeTaken": "Tiempo utilizado:", "today": "Hoy",
        "yesterday": "Ayer", "previous": "Ver foto anterior", "next": "Ver foto siguiente",
        "more": "Más opciones", "download": "Descargar - Mayús+D", "downloadWord": "Descargar",
        "downloadVideo": "Descargar vídeo", "downloadAll": "Descargar todo",
        "openInfo": "Abrir información", "closeInfo": "Cerrar información", "back": "Volver a fotos",
        "edit": "Editar", "favourite": "Favorito", "trash": "Mover a la papelera",
        "people": "Personas", "details": "Detalles", "description": "Descripción",
        "types": ["Foto", "Vídeo"], "shapes": ["Horizontal", "Vertical", "Cuadrada"],
        "months": ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"],
        "days": ["dom", "lun", "mar", "mié", "jue", "vie", "sáb"],
        "longDays": ["domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"],
    }))
}

fn german() -> Value {
    over_english(&json!({
        "dayFirst": true, "hours24": true, "dot": ".",
        "selectDay": "Alle Fotos auswählen vom", "filename": "Dateiname:", "dateTaken": "Aufnahmedatum:",
        "timeTaken": "Aufnahmezeit:", "today": "Heute", "yesterday": "Gestern",
        "previous": "Vorheriges Foto ansehen", "next": "Nächstes Foto ansehen", "more": "Weitere Optionen",
        "download": "Herunterladen - Umschalttaste+D", "downloadWord": "Herunterladen",
        "downloadOriginal": "Original herunterladen", "downloadVideo": "Video herunterladen",
        "downloadAll": "Alle herunterladen", "openInfo": "Info öffnen", "closeInfo": "Info schließen",
        "back": "Zurück zu Fotos", "edit": "Bearbeiten", "favourite": "Favorit",
        "trash": "In den Papierkorb verschieben", "people": "Personen", "details": "Details",
        "description": "Beschreibung", "processing": "Das Video wird noch verarbeitet",
        "processingToast": "Das Video wird noch verarbeitet & kann später heruntergeladen werden",
        "readySoon": "Dein Video ist bald fertig",
        "types": ["Foto", "Video"], "shapes": ["Querformat", "Hochformat", "Quadratisch"],
        "months": ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.",
                   "Dez."],
        "days": ["So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."],
        "longDays": ["Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"],
    }))
}

fn polish() -> Value {
    over_english(&json!({
        "dayFirst": true, "hours24": true,
        "selectDay": "Wybierz wszystkie zdjęcia z", "filename": "Nazwa pliku:",
        "dateTaken": "Data wykonania zdjęcia:", "timeTaken": "Godzina wykonania zdjęcia:",
        "today": "Dzisiaj", "yesterday": "Wczoraj", "previous": "Wyświetl poprzednie zdjęcie",
        "next": "Wyświetl następne zdjęcie", "more": "Więcej opcji", "download": "Pobierz - Shift+D",
        "downloadWord": "Pobierz", "downloadOriginal": "Pobierz oryginał",
        "downloadVideo": "Pobierz film", "downloadAll": "Pobierz wszystko",
        "openInfo": "Otwórz informacje", "closeInfo": "Zamknij informacje", "back": "Wstecz do zdjęć", "edit": "Edytuj", "favourite": "Ulubione",
        "trash": "Przenieś do kosza",
        "people": "Osoby", "details": "Szczegóły", "description": "Opis",
        "types": ["Zdjęcie", "Film"], "shapes": ["Poziomo", "Pionowo", "Kwadrat"],
        "months": ["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"],
        "days": ["niedz.", "pon.", "wt.", "śr.", "czw.", "pt.", "sob."],
        "longDays": ["niedziela", "poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota"],
    }))
}
